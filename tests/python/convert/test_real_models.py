# SPDX-License-Identifier: Apache-2.0
"""The nine real models of ../shared convert with default options and agree with float32 no worse than ONNX Runtime's int8.

The bars are the "ORT int8" column of README-assets.md, on the first samples of the test files to stay quick: a share of the
decisions, or the correlation of anomaly scores. The whole files are measured by bench/accuracy.py.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

import edgeml.convert
from edgeml.artifact import Artifact
from edgeml.convert.comparison import OutputComparison, compare
from support.needs import REPOSITORY, SHARED, need_shared

sys.path.insert(0, str(REPOSITORY / "tools"))
from prepare_assets import ASSETS, Asset, prepare


class Bar(NamedTuple):
    """Least share of equal decisions (or correlation of scores), over how many samples."""

    agree: float
    samples: int


BARS = {  # README-assets.md, column "ORT int8"; kws_dscnn: the task's own bar
    "kws_dscnn": Bar(0.98, 1000),
    "sww_dscnn1d": Bar(1.0, 45),
    "vww_mobilenetv1_025_96": Bar(1.0, 41),
    "resnet8_cifar10": Bar(0.97, 300),
    "resnet32_cifar10": Bar(0.98, 100),
    "ad_toycar_fc_autoencoder": Bar(0.9965, 100),
    "mobilenetv1_025_128": Bar(0.8049, 41),
    "mobilenetv2_100_224": Bar(0.9756, 12),
    "adult_mlp": Bar(0.99, 6500),
}


class Converted(NamedTuple):
    """A model with its artifact and test data."""

    asset: Asset
    artifact: Artifact
    result: OutputComparison


@pytest.fixture(scope="module", params=ASSETS, ids=lambda asset: asset.model)
def converted(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Converted:
    """Each model, converted once."""
    asset: Asset = request.param
    for needed in (f"models/{asset.model}.onnx", f"data/{asset.calibration}.npz", f"data/{asset.test}.npz"):
        need_shared(needed)
    calibration, test = prepare(asset, tmp_path_factory.mktemp(asset.model))
    model = SHARED / "models" / f"{asset.model}.onnx"
    artifact = edgeml.convert(model, calibration=calibration)
    with np.load(test) as file:
        data = {name: array[: BARS[asset.model].samples] for name, array in file.items()}
    return Converted(asset, artifact, compare(artifact, model, data).outputs[0])


def test_agrees_with_float(converted: Converted) -> None:
    agree, result = BARS[converted.asset.model].agree, converted.result
    measured = result.decisions_agree if result.decisions_agree is not None else result.score_correlation
    assert measured is not None
    assert round(measured, 4) >= agree


def test_accuracy_is_near_float(converted: Converted) -> None:
    result = converted.result
    if result.accuracy is None or result.accuracy_float is None:
        pytest.skip("this model has no labels")
    assert result.accuracy >= result.accuracy_float - 0.02


def test_artifact_is_small_and_has_telemetry(converted: Converted) -> None:
    source = Path(SHARED / "models" / f"{converted.asset.model}.onnx").stat().st_size
    assert len(converted.artifact.to_bytes()) < 0.7 * source
    assert converted.artifact.telemetry_bytes is not None
