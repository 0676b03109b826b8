# SPDX-License-Identifier: Apache-2.0
"""Equalization changes scales inside a graph, never what it computes; and it does bring channels together."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import edgeml
from edgeml.artifact.evaluate import evaluate
from edgeml.convert.calibration import CalibrationData
from edgeml.convert.equalization import channel_peaks, equalize
from edgeml.convert.float_model import FloatModel, to_onnx
from edgeml.convert.onnx_importer import import_onnx
from edgeml.convert.options import ConvertOptions
from edgeml.convert.passes import run_passes
from edgeml.ir import Graph
from edgeml.session import InferenceSession

CHANNELS = 8
SPREAD = np.geomspace(0.02, 1.0, CHANNELS).astype(np.float32)  # of the rows of a layer


def network(middle: list[onnx.NodeProto], last: str, channels: int = CHANNELS) -> Graph:
    """conv (rows of very different size) -> `middle`, from "c" to `last` -> conv."""
    rng = np.random.default_rng(0)
    first = rng.normal(size=(CHANNELS, 3, 3, 3)) * SPREAD[:, None, None, None]
    constants = {
        "w1": first,
        "b1": rng.normal(size=CHANNELS) * SPREAD,
        "w2": rng.normal(size=(5, channels, 1, 1)),
        "shuffle": np.array([3, 0, 1, 7, 2, 6, 5, 4], np.int64),
        "dw": rng.normal(size=(CHANNELS, 1, 3, 3)),
        "zero": np.array(0.0),
        "six": np.array(6.0),
    }
    nodes = [
        helper.make_node("Conv", ["x", "w1", "b1"], ["c"], name="first", pads=[1, 1, 1, 1]),
        *middle,
        helper.make_node("Conv", [last, "w2"], ["y"], name="last"),
    ]
    initializers = [
        numpy_helper.from_array(v if v.dtype == np.int64 else v.astype(np.float32), k) for k, v in constants.items()
    ]
    proto = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 5, 8, 8])],
        initializers,
    )
    return run_passes(import_onnx(helper.make_model(proto, opset_imports=[helper.make_opsetid("", 13)])).graph)


def node(op: str, inputs: list[str], output: str, **attributes: object) -> onnx.NodeProto:
    return helper.make_node(op, inputs, [output], name=f"{op}_{output}", **attributes)


MIDDLES: dict[str, tuple[list[onnx.NodeProto], str, int]] = {
    "relu": ([node("Relu", ["c"], "m")], "m", CHANNELS),
    "relu6": ([node("Clip", ["c", "zero", "six"], "m")], "m", CHANNELS),
    "depthwise": (
        [node("Relu", ["c"], "r"), node("Conv", ["r", "dw"], "m", group=CHANNELS, pads=[1, 1, 1, 1])],
        "m",
        CHANNELS,
    ),
    "pool": ([node("MaxPool", ["c"], "m", kernel_shape=[3, 3], pads=[1, 1, 1, 1])], "m", CHANNELS),
    "shuffle": ([node("Gather", ["c", "shuffle"], "m", axis=1)], "m", CHANNELS),
    "concat": ([node("Relu", ["c"], "r"), node("Concat", ["r", "c"], "m", axis=1)], "m", 2 * CHANNELS),
    "residual": (
        [
            node("Relu", ["c"], "r"),
            node("Conv", ["r", "dw"], "d", group=CHANNELS, pads=[1, 1, 1, 1]),
            node("Add", ["r", "d"], "m"),
        ],
        "m",
        CHANNELS,
    ),
}


def data_for(graph: Graph) -> CalibrationData:
    x = np.random.default_rng(1).normal(size=(16, 3, 8, 8)).astype(np.float32)
    return CalibrationData({"x": x}, graph)


def spread_of(graph: Graph, name: str, data: CalibrationData) -> float:
    """Largest over smallest of the peaks of the channels of an activation."""
    (values,) = FloatModel(to_onnx(graph, [name])).run(data.arrays()).values()
    peaks = np.abs(values).max(axis=(0, 2, 3))
    return float(peaks.max() / peaks[peaks > 0].min())


@pytest.mark.parametrize("strength", [0.5, 1.0])
@pytest.mark.parametrize("middle", MIDDLES)
def test_function_stays_and_channels_come_together(middle: str, strength: float) -> None:
    nodes, last, channels = MIDDLES[middle]
    graph = network(nodes, last, channels)
    data = data_for(graph)
    equal = equalize(graph, channel_peaks(graph, data), strength)
    before, after = (FloatModel(to_onnx(g, ["y"])).run(data.arrays())["y"] for g in (graph, equal))
    assert np.abs(before - after).max() < 1e-4 * np.abs(before).max()
    inner = graph.nodes[0].output
    assert spread_of(equal, inner, data) < 5.0 * spread_of(graph, inner, data) ** (1 - strength)


def test_strength_zero_changes_nothing() -> None:
    graph = network(*MIDDLES["relu"])
    assert equalize(graph, channel_peaks(graph, data_for(graph)), 0.0) is graph


@pytest.mark.parametrize("function", ["Sigmoid", "Tanh"])
def test_what_is_no_scaling_keeps_its_input(function: str) -> None:
    graph = network([node(function, ["c"], "m")], "m")
    assert equalize(graph, channel_peaks(graph, data_for(graph)), 1.0).nodes == graph.nodes


def test_a_clamp_other_than_at_zero_keeps_its_input() -> None:
    graph = network([node("Clip", ["c", "", "six"], "r"), node("Clip", ["r", "six"], "m")], "m")
    data = data_for(graph)
    equal = equalize(graph, channel_peaks(graph, data), 1.0)
    before, after = (FloatModel(to_onnx(g, ["y"])).run(data.arrays())["y"] for g in (graph, equal))
    assert np.array_equal(before, after)


def test_an_input_over_tokens_is_scaled_in_float() -> None:
    rng = np.random.default_rng(4)
    proto = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"], name="embed")],
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 5, CHANNELS])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 5, 4])],
        [numpy_helper.from_array(rng.normal(size=(CHANNELS, 4)).astype(np.float32), "w")],
    )
    graph = run_passes(import_onnx(helper.make_model(proto, opset_imports=[helper.make_opsetid("", 13)])).graph)
    x = (rng.normal(size=(20, 5, CHANNELS)) * SPREAD).astype(np.float32)
    data = CalibrationData({"x": x}, graph)
    peaks = channel_peaks(graph, data)
    assert equalize(graph, peaks, 1.0).nodes == graph.nodes  # unless it is allowed
    equal = equalize(graph, peaks, 1.0, scale_inputs=True)
    assert [node.op for node in equal.nodes] == ["Float", "Linear"]
    before, after = (FloatModel(to_onnx(g, ["y"])).run({"x": x})["y"] for g in (graph, equal))
    assert np.abs(before - after).max() < 1e-5
    model = helper.make_model(proto, opset_imports=[helper.make_opsetid("", 13)])
    artifact = edgeml.convert(model, calibration={"x": x}, options=ConvertOptions(equalization=1.0))
    (actual,) = InferenceSession(artifact.to_bytes()).run(None, {"x": x})
    assert np.array_equal(evaluate(artifact.graph, {"x": x})["y"], actual)
    assert np.abs(actual - before).max() < 0.05 * np.abs(before).max()
