# SPDX-License-Identifier: Apache-2.0
"""What the demo does when cameras have drifted: train the network on with pictures as they are now, and convert it.

And a model that must not get far: the same one with its classes mixed up, as a wrong table of labels would.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import onnx
from threadpoolctl import threadpool_limits

import edgeml
from edgeml.demo import digits, network
from edgeml.demo.camera import FAULTS, Fault

if TYPE_CHECKING:
    from collections.abc import Sequence

EPOCHS: Final = 8
LEARNING_RATE: Final = 1e-3
SEED: Final = 11


def retrain() -> onnx.ModelProto:
    """The network of the demo, trained on with the pictures of good cameras and of all faults; some ten seconds."""
    trained = network.load(onnx.load(digits.ONNX_PATH))
    generator = np.random.default_rng(SEED)
    with threadpool_limits(1):
        network.train(
            trained,
            seen_by("train", (Fault(), *FAULTS.values())),
            generator,
            epochs=EPOCHS,
            learning_rate=LEARNING_RATE,
        )
    model = network.to_onnx(trained)
    model.producer_name = "edgeml demo"
    return model


def mix_up_classes(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with each class called by the name of the next."""
    mixed = copy.deepcopy(model)
    for tensor in mixed.graph.initializer:
        if tensor.name.startswith("logits."):
            values = np.roll(onnx.numpy_helper.to_array(tensor), 1, axis=0)
            tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
    return mixed


def convert(model: onnx.ModelProto, path: Path) -> None:
    """Convert and save. The reference stays that of good cameras: a dirty lens is read better now, and is still dirty."""
    edgeml.convert(model, calibration={digits.INPUT_NAME: digits.load("calibration").x}).save(path)


def accuracy(path: Path, fault: Fault) -> float:
    """Share of test digits that an artifact reads right through a camera."""
    test = seen_by("test", (fault,))
    (probability,) = edgeml.InferenceSession(path).run(None, {digits.INPUT_NAME: test.x})
    return float((probability.argmax(axis=1) == test.y).mean())


def seen_by(part: str, faults: Sequence[Fault]) -> digits.Digits:
    """The digits of a part, photographed by a camera with each of the faults."""
    scenes = digits.load(part)
    return digits.Digits(
        x=np.concatenate([fault.photograph(scenes.x) for fault in faults]), y=np.tile(scenes.y, len(faults))
    )
