# SPDX-License-Identifier: Apache-2.0
"""The models that are measured: the real ones of ../shared and the networks of the zoo, each as float ONNX with batch 1."""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import onnx

from bench.peers.environments import REPOSITORY
from bench.zoo import NETWORKS, build
from bench.zoo.blocks import images

sys.path.insert(0, str(REPOSITORY / "tools"))
from prepare_assets import ASSETS, SHARED, prepare

CALIBRATION_SAMPLES: Final = 64
ZOO_CALIBRATION_SAMPLES: Final = 16


@dataclass(frozen=True)
class Source:
    """Files of one model: float ONNX, arrays to calibrate on, one sample to run on, the publisher's int8 .tflite."""

    model: Path
    calibration: Path
    input: Path
    reference_int8: Path


def names() -> list[str]:
    """Models that this machine can measure: without ../shared only the zoo."""
    real = [asset.model for asset in ASSETS] if SHARED.is_dir() else []
    return [*real, *NETWORKS]


def source(name: str, folder: Path) -> Source:
    """Write the files of a model into a folder, unless they are there."""
    made = Source(
        folder / "model.onnx",
        folder / "calibration.npz",
        folder / "input.npz",
        SHARED / "models" / f"{name}.ref_int8.tflite",
    )
    if made.input.exists():
        return made
    folder.mkdir(parents=True, exist_ok=True)
    model = build(name) if name in NETWORKS else onnx.load(SHARED / "models" / f"{name}.onnx")
    for value in (*model.graph.input, *model.graph.output):
        first = value.type.tensor_type.shape.dim
        if first and not first[0].HasField("dim_value"):
            first[0].dim_value = 1
    del model.graph.value_info[:]
    onnx.save(model, made.model)
    x = _calibration(name)
    input_name = model.graph.input[0].name
    np.savez(made.calibration, **{input_name: x})
    np.savez(made.input, **{input_name: x[:1]})
    return made


def _calibration(name: str) -> np.ndarray:
    if name in NETWORKS:
        return images(ZOO_CALIBRATION_SAMPLES, 224, seed=2)
    (asset,) = (asset for asset in ASSETS if asset.model == name)
    with tempfile.TemporaryDirectory() as folder:
        calibration, _ = prepare(asset, Path(folder))
        with np.load(calibration) as data:
            return np.ascontiguousarray(data["x"][:CALIBRATION_SAMPLES], np.float32)
