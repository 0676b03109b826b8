# SPDX-License-Identifier: Apache-2.0
"""Which anchors of a detector pass its threshold, and the F1 of one model's anchors against another's; there are no labelled boxes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]
ULTRAFACE_THRESHOLD: Final = 0.6
FASTESTDET_THRESHOLD: Final = 0.5


def ultraface(outputs: Mapping[str, Array]) -> Mask:
    """Shape (images, anchors): the second of the two `scores` is that of a face."""
    mask: Mask = outputs["scores"][..., 1] > ULTRAFACE_THRESHOLD
    return mask


def fastestdet(outputs: Mapping[str, Array]) -> Mask:
    """Shape (images, rows, columns). Channels are objectness, four of the box, then classes; score = object^0.6 * class^0.4."""
    (planes,) = outputs.values()
    mask: Mask = planes[:, 0] ** 0.6 * planes[:, 5:].max(axis=1) ** 0.4 > FASTESTDET_THRESHOLD
    return mask


DETECTORS: Final[Mapping[str, Callable[[Mapping[str, Array]], Mask]]] = {
    "fastestdet_352": fastestdet,
    "ultraface_slim320": ultraface,
}


def anchor_f1(expected: Mask, actual: Mask) -> float:
    """2 * both / (expected + actual) over all images; 1 where neither has an anchor."""
    total = int(expected.sum()) + int(actual.sum())
    return 2 * int((expected & actual).sum()) / total if total else 1.0
