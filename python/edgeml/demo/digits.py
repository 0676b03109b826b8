# SPDX-License-Identifier: Apache-2.0
"""The handwritten digits of scikit-learn, divided once and for all: to train, to calibrate, to test.

Calibration digits are not training digits: a network is surer of what it was trained on, and a fleet that compares its
devices with such a reference sees a drift of confidence that is none. The three parts have the same mix of classes and
of ink (mean intensity).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from sklearn.datasets import load_digits

ONNX_PATH: Final = Path(__file__).with_name("digits.onnx")  # made by tools/train_digits.py
INPUT_NAME: Final = "image"
OUTPUT_NAME: Final = "probability"
CLASSES: Final = 10
PARTS: Final = {"train": 0, "calibration": 6, "test": 8}  # part -> its first place in a block of BLOCK digits
BLOCK: Final = 10  # of ten digits alike in class and ink, six train, two calibrate, two test
SPLIT_SEED: Final = 20


@dataclass(frozen=True, kw_only=True)
class Digits:
    """Images `x`, float32 [n, 1, 8, 8] in 0..1, and their classes `y`, int64 [n]."""

    x: npt.NDArray[np.float32]
    y: npt.NDArray[np.int64]


def load(part: str) -> Digits:
    """Return one part: `train`, `calibration` or `test`. The division depends on nothing but the data set."""
    images, classes = load_digits(return_X_y=True)
    x = (images / 16.0).astype(np.float32).reshape(-1, 1, 8, 8)
    y = classes.astype(np.int64)
    chosen = np.flatnonzero(_part_of_each(x, y) == list(PARTS).index(part))
    return Digits(x=x[chosen], y=y[chosen])


def _part_of_each(x: npt.NDArray[np.float32], y: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the index into PARTS of each digit: blocks of neighbours in (class, ink) are shuffled and dealt out."""
    generator = np.random.default_rng(SPLIT_SEED)
    alike = np.lexsort((x.mean(axis=(1, 2, 3)), y))
    place = np.empty(len(y), np.int64)
    for begin in range(0, len(y), BLOCK):
        block = alike[begin : begin + BLOCK]
        place[block] = generator.permutation(BLOCK)[: len(block)]
    return np.searchsorted(list(PARTS.values()), place, side="right") - 1
