# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from onnx import helper

import edgeml.convert
from edgeml.artifact.evaluate import evaluate
from edgeml.convert.telemetry import bin_edges
from edgeml.observe.schema import LATENCY_EDGES, TelemetrySchema
from support.onnx_models import make_model, small_data, small_network

NODE = helper.make_node


def schema_of(artifact: edgeml.artifact.Artifact) -> TelemetrySchema:
    assert artifact.telemetry_bytes is not None
    return TelemetrySchema.from_bytes(artifact.telemetry_bytes)


def test_images_have_channel_features_and_softmax_has_its_four() -> None:
    schema = schema_of(edgeml.convert(small_network(), calibration=small_data()))
    assert [(f.source, f.tensor, f.kind, f.index) for f in schema.features] == [
        *(
            ("input", "input", kind, channel)
            for channel in (0, 1)
            for kind in ("channel_mean", "channel_std", "channel_clipped")
        ),
        *(("output", "output", kind, 0) for kind in ("class", "confidence", "margin", "entropy")),
        ("latency", "", "latency_us", 0),
    ]
    assert schema.samples == 40
    assert schema.features[-1].edges == LATENCY_EDGES


def test_reference_counts_are_those_of_the_artifact() -> None:
    data = small_data(60)
    artifact = edgeml.convert(small_network(), calibration=data)
    outputs = evaluate(artifact.graph, data)["output"]
    feature = next(f for f in schema_of(artifact).features if f.kind == "class")
    assert feature.edges == (-0.5, 0.5, 1.5, 2.5, 3.5, 4.5)
    assert list(feature.reference) == [0, 0, *np.bincount(outputs.argmax(axis=1), minlength=5), 0]


def test_reference_counts_are_near_equal_shares() -> None:
    schema = schema_of(edgeml.convert(small_network(), calibration=small_data(320)))
    feature = next(f for f in schema.features if f.kind == "channel_mean")
    assert len(feature.edges) == 17
    assert max(feature.reference[2:-1]) <= 22
    assert min(feature.reference[2:-1]) >= 18


def test_small_inputs_and_outputs_have_value_features() -> None:
    model = make_model([NODE("Tanh", ["x"], ["y"])], {"x": ["N", 3]}, ["y"])
    rng = np.random.default_rng(2)
    x = np.stack([rng.normal(size=50), rng.integers(0, 2, 50), np.full(50, 4.0)], axis=1).astype(np.float32)
    schema = schema_of(edgeml.convert(model, calibration={"x": x}))
    names = [f"{tensor}/value[{i}]" for tensor in "xy" for i in range(3)]
    assert [feature.name for feature in schema.features] == [*names, "latency_us"]
    assert schema.features[1].edges == (-0.5, 0.5, 1.5)
    low, high = schema.features[2].edges
    assert low < 4 < high
    assert schema.features[2].reference == (0, 0, 50, 0)


def test_wide_rows_have_means_of_evenly_spread_elements() -> None:
    model = make_model([NODE("Tanh", ["x"], ["y"])], {"x": ["N", 640]}, ["y"])
    x = np.random.default_rng(2).normal(size=(30, 640)).astype(np.float32)
    schema = schema_of(edgeml.convert(model, calibration={"x": x}))
    means = [feature for feature in schema.features if feature.kind == "channel_mean"]
    assert len(means) == 16 == len(schema.features) - 1
    assert (means[0].index, means[-1].index) == (0, 639)


@pytest.mark.parametrize(
    ("values", "edges"),
    [
        ([1, 1, 2, 4], [0.5, 1.5, 3, 5]),
        ([0, 0, 0], [-(2.0**-10), 2.0**-10]),
        ([3e38, -3e38], None),
        ([1.0, np.nextafter(np.float32(1), np.float32(2))], None),
        ([1e-45, 0], None),
        (np.repeat([0.0, *range(20)], [1000] + [1] * 20), None),
        (np.random.default_rng(0).normal(size=500), None),
        ([np.finfo(np.float32).max], None),
    ],
)
def test_edges_are_finite_and_strictly_ascending(values: list[float], edges: list[float] | None) -> None:
    with np.errstate(over="ignore"):
        found = bin_edges(np.array(values, np.float32))
    assert found.dtype == np.float32
    assert np.all(np.isfinite(found))
    assert np.all(np.diff(found.astype(np.float64)) > 0)
    assert 2 <= len(found) <= 17
    if edges is not None:
        assert found.tolist() == edges
