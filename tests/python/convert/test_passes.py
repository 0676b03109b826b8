# SPDX-License-Identifier: Apache-2.0
"""Every pass keeps what the graph computes, and does what its name says: on small models and through the whole list."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from edgeml.convert.float_model import FloatModel, to_onnx
from edgeml.convert.onnx_importer import import_onnx
from edgeml.convert.passes import PASSES, run_passes
from edgeml.errors import UnsupportedOperatorError
from edgeml.ir import Clamp, Graph, verify
from support.onnx_models import make_model, small_network

NODE = helper.make_node
RNG = np.random.default_rng(11)


def f32(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


def i64(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def norm(channels: int) -> dict[str, np.ndarray]:
    return {
        "gamma": RNG.uniform(0.5, 1.5, channels).astype(np.float32),
        "beta": f32(channels),
        "mean": f32(channels),
        "var": RNG.uniform(0.5, 2, channels).astype(np.float32),
    }


def affine_constants() -> dict[str, np.ndarray]:
    return {"w": f32(4, 3, 3, 3), "k": f32(4, 1, 1), "s": f32(1, 4, 1, 1)}


IMAGE = {"x": ["N", 3, 8, 7]}
ROW = {"x": ["N", 6]}
NORM = ["gamma", "beta", "mean", "var"]
# name -> (model, operators left, which of them are clamped)
CASES: dict[str, tuple[Callable[[], onnx.ModelProto], Sequence[str], Sequence[Clamp]]] = {
    "small network": (
        small_network,
        ["Conv", "Conv", "Conv", "Add", "MaxPool", "AveragePool", "Reshape", "Gemm", "Softmax"],
        [Clamp(0, np.inf)] * 3,
    ),
    "batch norm after conv": (
        lambda: make_model(
            [NODE("Conv", ["x", "w"], ["c"]), NODE("BatchNormalization", ["c", *NORM], ["y"], epsilon=1e-3)],
            IMAGE, ["y"], {"w": f32(4, 3, 3, 3), **norm(4)},
        ),
        ["Conv"], [],
    ),
    "batch norm after gemm": (
        lambda: make_model(
            [NODE("Gemm", ["x", "w"], ["c"]), NODE("BatchNormalization", ["c", *NORM], ["y"])],
            ROW, ["y"], {"w": f32(6, 4), **norm(4)},
        ),
        ["Gemm"], [],
    ),
    "batch norm of the input": (
        lambda: make_model([NODE("BatchNormalization", ["x", *NORM], ["y"])], IMAGE, ["y"], norm(3)),
        ["Conv"], [],
    ),
    "normalisation of the input": (
        lambda: make_model(
            [NODE("Sub", ["x", "m"], ["a"]), NODE("Div", ["a", "d"], ["b"]), NODE("Relu", ["b"], ["y"])],
            IMAGE, ["y"], {"m": f32(3, 1, 1), "d": np.full((1, 3, 1, 1), 2.5, np.float32)},
        ),
        ["Conv"], [Clamp(0, np.inf)],
    ),
    "affine of rows": (
        lambda: make_model([NODE("Mul", ["k", "x"], ["a"]), NODE("Sub", ["s", "a"], ["y"])], ROW, ["y"], {"k": f32(6), "s": f32(1, 1)}),
        ["Reshape", "Conv", "Reshape"], [],
    ),
    "mul and add after conv": (
        lambda: make_model(
            [NODE("Conv", ["x", "w"], ["c"]), NODE("Mul", ["c", "k"], ["a"]), NODE("Add", ["s", "a"], ["b"]), NODE("Relu", ["b"], ["y"])],
            IMAGE, ["y"], affine_constants(),
        ),
        ["Conv"], [Clamp(0, np.inf)],
    ),
    "conv read twice is not folded": (
        lambda: make_model(
            [NODE("Conv", ["x", "w"], ["c"]), NODE("Mul", ["c", "k"], ["a"]), NODE("Add", ["c", "a"], ["y"])],
            IMAGE, ["y"], affine_constants(),
        ),
        ["Conv", "Conv", "Add"], [],
    ),
    "conv that is an output is not folded": (
        lambda: make_model([NODE("Conv", ["x", "w"], ["c"]), NODE("Relu", ["c"], ["y"])], IMAGE, ["c", "y"], affine_constants()),
        ["Conv", "Relu"], [],
    ),
    "matmul and add": (
        lambda: make_model([NODE("MatMul", ["x", "w"], ["m"]), NODE("Add", ["m", "b"], ["y"])], ROW, ["y"], {"w": f32(6, 4), "b": f32(4)}),
        ["Gemm"], [],
    ),
    "gemm with alpha and beta": (
        lambda: make_model(
            [NODE("Gemm", ["x", "w", "b"], ["y"], alpha=0.5, beta=2.0, transB=1)], ROW, ["y"], {"w": f32(4, 6), "b": f32(1, 4)}
        ),
        ["Gemm"], [],
    ),
    "relu6 after relu": (
        lambda: make_model(
            [NODE("Conv", ["x", "w"], ["c"]), NODE("Relu", ["c"], ["r"]), NODE("Clip", ["r", "", "six"], ["y"])],
            IMAGE, ["y"], {"w": f32(4, 3, 3, 3), "six": np.array(0.6, np.float32)},
        ),
        ["Conv"], [Clamp(0, float(np.float32(0.6)))],
    ),
    "disjoint clips": (
        lambda: make_model(
            [NODE("Conv", ["x", "w"], ["c"]), NODE("Clip", ["c", "a", "b"], ["r"]), NODE("Clip", ["r", "d", "e"], ["y"])],
            IMAGE, ["y"],
            {"w": f32(4, 3, 1, 1), **{k: np.array(v, np.float32) for k, v in {"a": -1, "b": 0, "d": 2, "e": 3}.items()}},
        ),
        ["Conv"], [Clamp(2, 2)],
    ),
    "pad before conv": (
        lambda: make_model(
            [NODE("Pad", ["x", "p"], ["q"]), NODE("Conv", ["q", "w"], ["y"], strides=[2, 2])],
            IMAGE, ["y"], {"p": i64(0, 0, 0, 1, 0, 0, 2, 1), "w": f32(4, 3, 3, 3)},
        ),
        ["Conv"], [],
    ),
    "pad before average pool": (
        lambda: make_model(
            [NODE("Pad", ["x", "p"], ["q"]), NODE("AveragePool", ["q"], ["y"], kernel_shape=[3, 3])],
            IMAGE, ["y"], {"p": i64(0, 0, 1, 1, 0, 0, 1, 1)},
        ),
        ["AveragePool"], [],
    ),
    "pad of ones stays": (
        lambda: make_model(
            [NODE("Pad", ["x", "p", "v"], ["q"]), NODE("Conv", ["q", "w"], ["y"])],
            IMAGE, ["y"], {"p": i64(0, 0, 1, 1, 0, 0, 1, 1), "v": np.array(1, np.float32), "w": f32(4, 3, 3, 3)},
        ),
        ["Pad", "Conv"], [],
    ),
    "pad as wide as the window stays": (
        lambda: make_model(
            [NODE("Pad", ["x", "p"], ["q"]), NODE("Conv", ["q", "w"], ["y"])],
            IMAGE, ["y"], {"p": i64(0, 0, 3, 0, 0, 0, 0, 0), "w": f32(4, 3, 3, 3)},
        ),
        ["Pad", "Conv"], [],
    ),
    "channel pad stays": (
        lambda: make_model(
            [NODE("Pad", ["x", "p"], ["q"]), NODE("Conv", ["q", "w"], ["y"])],
            IMAGE, ["y"], {"p": i64(0, 1, 0, 0, 0, 2, 0, 0), "w": f32(4, 6, 3, 3)},
        ),
        ["Pad", "Conv"], [],
    ),
    "mean over the plane": (
        lambda: make_model([NODE("ReduceMean", ["x"], ["y"], axes=[-1, 2], keepdims=0)], IMAGE, ["y"]),
        ["AveragePool", "Reshape"], [],
    ),
    "global max pool": (
        lambda: make_model([NODE("GlobalMaxPool", ["x"], ["y"])], IMAGE, ["y"]),
        ["MaxPool"], [],
    ),
    "conv over time": (
        lambda: make_model(
            [
                NODE("Conv", ["x", "w", "b"], ["c"], pads=[2, 1], strides=[2]), NODE("Relu", ["c"], ["r"]),
                NODE("MaxPool", ["r"], ["y"], kernel_shape=[2]),
            ],
            {"x": ["N", 3, 16]}, ["y"], {"w": f32(4, 3, 5), "b": f32(4)},
        ),
        ["Reshape", "Conv", "Reshape", "Relu", "Reshape", "MaxPool", "Reshape"], [],
    ),
    "split": (
        lambda: make_model([NODE("Split", ["x"], ["a", "b"], axis=1), NODE("Add", ["a", "b"], ["y"])], ROW, ["y"]),
        ["Slice", "Slice", "Add"], [],
    ),
    "softmax over channels": (
        lambda: make_model([NODE("Softmax", ["x"], ["y"], axis=1)], {"x": ["N", 5, 1, 1]}, ["y"]),
        ["Reshape", "Softmax", "Reshape"], [],
    ),
    "shape arithmetic": (
        lambda: make_model(
            [
                NODE("Shape", ["x"], ["s"]), NODE("Gather", ["s", "zero"], ["n"]), NODE("Unsqueeze", ["n", "axis"], ["u"]),
                NODE("Concat", ["u", "rest"], ["t"], axis=0), NODE("Reshape", ["x", "t"], ["r"]), NODE("Gemm", ["r", "w"], ["y"]),
            ],
            IMAGE, ["y"], {"zero": np.array(0, np.int64), "axis": i64(0), "rest": i64(-1), "w": f32(168, 4)},
        ),
        ["Reshape", "Gemm"], [],
    ),
    "identity and dropout": (
        lambda: make_model(
            [NODE("Identity", ["x"], ["a"]), NODE("Dropout", ["a"], ["b"]), NODE("Tanh", ["b"], ["c"]), NODE("Identity", ["c"], ["y"])],
            ROW, ["y"],
        ),
        ["Tanh"], [],
    ),
    "squeeze and flatten": (
        lambda: make_model(
            [NODE("Unsqueeze", ["x", "two"], ["a"]), NODE("Squeeze", ["a", "two"], ["b"]), NODE("Flatten", ["b"], ["y"])],
            IMAGE, ["y"], {"two": i64(2)},
        ),
        ["Reshape", "Reshape", "Reshape"], [],
    ),
    "dead branch": (
        lambda: make_model([NODE("Tanh", ["x"], ["y"]), NODE("Exp", ["x"], ["unused"])], ROW, ["y"]),
        ["Tanh"], [],
    ),
}  # fmt: skip


def run(graph: Graph, seed: int = 2) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    feed = {}
    for name in graph.inputs:
        shape = graph.tensors[name].shape
        feed[name] = rng.normal(size=(shape[0] or 3, *shape[1:])).astype(np.float32)
    outputs = FloatModel(to_onnx(graph, graph.outputs)).run(feed)
    return [outputs[name] for name in graph.outputs]


@pytest.mark.parametrize("name", CASES)
def test_outputs_agree_before_and_after_each_pass(name: str) -> None:
    model, operators, clamps = CASES[name]
    graph = import_onnx(model()).graph
    reference = run(graph)
    for rule in PASSES:
        graph = rule(graph)
        verify(graph)
        for before, after in zip(reference, run(graph), strict=True):
            np.testing.assert_allclose(after, before, rtol=1e-4, atol=1e-5, err_msg=rule.__name__)
    assert [node.op for node in graph.nodes] == list(operators)
    assert [node.clamp for node in graph.nodes if node.clamp is not None] == list(clamps)
    used = {name for node in graph.nodes for name in (*node.inputs, *node.outputs)}
    assert set(graph.tensors) == used | set(graph.inputs)


@pytest.mark.parametrize("name", CASES)
def test_passes_are_pure(name: str) -> None:
    graph = import_onnx(CASES[name][0]()).graph
    nodes, tensors = graph.nodes, dict(graph.tensors)
    run_passes(graph)
    assert graph.nodes == nodes
    assert list(graph.tensors) == list(tensors)
    assert all(graph.tensors[name] is tensors[name] for name in tensors)


@pytest.mark.parametrize(
    ("nodes", "constants", "sentence"),
    [
        ([NODE("BatchNormalization", ["x", *NORM], ["y", "m", "v"], training_mode=1)], norm(3), "training mode"),
        ([NODE("Relu", ["x"], ["r"]), NODE("ReduceMax", ["x"], ["t"], keepdims=0), NODE("Clip", ["r", "t"], ["y"])], {}, "bounds"),
        ([NODE("Clip", ["x", "a", "b"], ["y"])], {"a": np.array(2, np.float32), "b": np.array(1, np.float32)}, "bounds"),
    ],
)  # fmt: skip
def test_what_cannot_be_rewritten_is_named(nodes: list[Any], constants: dict[str, np.ndarray], sentence: str) -> None:
    graph = import_onnx(make_model(nodes, IMAGE, ["y"], constants, opset=14)).graph
    with pytest.raises(UnsupportedOperatorError, match=sentence):
        run_passes(graph)


def test_cast_to_the_same_type_disappears() -> None:
    model = make_model([NODE("Cast", ["x"], ["c"], to=TensorProto.FLOAT), NODE("Tanh", ["c"], ["y"])], ROW, ["y"])
    assert [node.op for node in run_passes(import_onnx(model).graph).nodes] == ["Tanh"]


def test_identity_alone_and_an_output_given_twice() -> None:
    """Nothing computes, but the outputs keep their names."""
    nodes = [NODE("Identity", ["x"], ["y"]), NODE("Tanh", ["x"], ["t"]), NODE("Identity", ["t"], ["u"])]
    graph = import_onnx(make_model(nodes, ROW, ["y", "t", "u"])).graph
    reference = run(graph)
    result = run_passes(graph)
    assert sorted(node.op for node in result.nodes) == ["Reshape", "Reshape", "Tanh"]
    for before, after in zip(reference, run(result), strict=True):
        assert np.array_equal(before, after)
