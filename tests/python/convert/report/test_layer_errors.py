# SPDX-License-Identifier: Apache-2.0
"""Layer errors against the same figures computed here, the plain way, from the reference evaluator."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import edgeml
from edgeml.artifact.evaluate import evaluate
from edgeml.convert.float_model import FloatModel, to_onnx
from edgeml.convert.onnx_importer import import_onnx
from edgeml.convert.options import Io
from edgeml.convert.passes import run_passes
from edgeml.convert.report.layer_errors import LayerError, measure_layer_errors
from support.onnx_models import small_data, small_network


@pytest.mark.parametrize("io", ["float32", "int8"])
def test_figures_are_those_of_the_reference_evaluator(io: Io) -> None:
    graph = run_passes(import_onnx(small_network()).graph)
    artifact = edgeml.convert(small_network(), calibration=small_data(), io=io)
    x = small_data()["input"][:16]
    rows = measure_layer_errors(artifact, graph, small_data())
    encoded = artifact.graph
    index = {tensor.name: i for i, tensor in enumerate(encoded.tensors)}
    assert {row.op for row in rows} >= {"conv2d", "depthwise_conv2d", "fully_connected"}
    for row in rows:
        i = index.get(f"{row.tensor}/s8", index.get(row.tensor))
        assert i is not None
        tensor = encoded.tensors[i]
        if row.tensor in graph.inputs:
            continue
        source = x
        if io == "int8":
            border = encoded.tensors[encoded.inputs[0]]
            source = np.clip(np.rint(x / np.float32(border.scale)) + border.zero_point, -128, 127).astype(np.int8)
        (q,) = evaluate(dataclasses.replace(encoded, outputs=(i,)), {"input": source}).values()
        (y,) = FloatModel(to_onnx(graph, [row.tensor])).run({"input": x}).values()
        real = (q.astype(np.float64) - tensor.zero_point) * tensor.scale
        noise = ((y.astype(np.float64) - real) ** 2).sum()
        assert row.sqnr_db == pytest.approx(10 * np.log10((y.astype(np.float64) ** 2).sum() / noise))
        cosine = (y.astype(np.float64) * real).sum() / np.sqrt((y.astype(np.float64) ** 2).sum() * (real**2).sum())
        assert row.cosine == pytest.approx(cosine)
        assert row.histogram.sum() == row.elements == q.size
        assert row.histogram[0] == (q < -124).sum()


def test_saturation_is_what_the_range_cut_off() -> None:
    row = LayerError(node="n", op="conv2d", tensor="t", scale=0.5, zero_point=0)
    row.add(np.array([63.5, 80.0, -64.0, -90.0, 1.0]), np.array([127, 127, -128, -128, 2], np.int8))
    assert row.saturated == 2
    assert row.saturated_share == pytest.approx(0.4)


def test_nothing_differs_and_nothing_is_there() -> None:
    row = LayerError(node="n", op="conv2d", tensor="t", scale=0.5, zero_point=0)
    row.add(np.zeros(3), np.zeros(3, np.int8))
    assert row.sqnr_db == np.inf
    assert row.cosine == 1.0
