# SPDX-License-Identifier: Apache-2.0
"""ONNX models that no exporter writes: each one must be refused with a sentence, quickly and in little memory."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
from onnx import TensorProto, helper

from support.onnx_models import make_model

NODE = helper.make_node
IMAGE = {"x": ["N", 3, 8, 8]}


def i64(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def _cycle() -> onnx.ModelProto:
    return make_model(
        [NODE("Add", ["x", "b"], ["a"]), NODE("Relu", ["a"], ["b"]), NODE("Relu", ["b"], ["y"])], IMAGE, ["y"]
    )


def _missing() -> onnx.ModelProto:
    return make_model([NODE("Conv", ["x", "weights"], ["y"])], IMAGE, ["y"])


def _expanding(*nodes: onnx.NodeProto, **constants: np.ndarray) -> Callable[[], onnx.ModelProto]:
    """Nodes of constants that make `big`, of which a mean is added to x."""
    tail = [NODE("ReduceMean", ["big"], ["m"], keepdims=0), NODE("Add", ["x", "m"], ["y"])]
    return lambda: make_model([*nodes, *tail], IMAGE, ["y"], constants)


def _initializer(dims: list[int], raw: bytes = b"") -> Callable[[], onnx.ModelProto]:
    def make() -> onnx.ModelProto:
        model = make_model([NODE("Conv", ["x", "w"], ["y"])], IMAGE, ["y"])
        model.graph.initializer.append(TensorProto(name="w", data_type=TensorProto.FLOAT, dims=dims, raw_data=raw))
        return model

    return make


def _attribute() -> onnx.ModelProto:
    tensor = TensorProto(name="t", data_type=TensorProto.FLOAT, dims=[2**20, 2**20])
    return make_model([NODE("Constant", [], ["c"], value=tensor), NODE("Add", ["x", "c"], ["y"])], IMAGE, ["y"])


def _input(*shape: int) -> Callable[[], onnx.ModelProto]:
    return lambda: make_model(
        [NODE("Transpose", ["x"], ["t"], perm=[0, 1, 3, 2]), NODE("Transpose", ["t"], ["y"], perm=[0, 1, 3, 2])],
        {"x": list(shape)},
        ["y"],
    )


def _nested(depth: int) -> Callable[[], onnx.ModelProto]:
    def make() -> onnx.ModelProto:
        graph = helper.make_graph(
            [NODE("Relu", ["x"], ["o"])], "leaf", [], [helper.make_tensor_value_info("o", 1, None)]
        )
        for _ in range(depth):
            node = NODE("If", ["c"], ["o"], then_branch=graph, else_branch=graph if depth < 9 else _leaf())
            graph = helper.make_graph([node], "g", [], [helper.make_tensor_value_info("o", 1, None)])
        return make_model([*graph.node, NODE("Relu", ["o"], ["y"])], IMAGE, ["y"], {"c": np.array(True)})

    return make


def _leaf() -> onnx.GraphProto:
    return helper.make_graph([NODE("Relu", ["x"], ["o"])], "leaf", [], [helper.make_tensor_value_info("o", 1, None)])


def _functions(levels: int, *, recursive: bool) -> Callable[[], onnx.ModelProto]:
    """Functions that call the next one twice: 2^levels nodes after inlining; or the last one calls the first."""

    def make() -> onnx.ModelProto:
        model = make_model([NODE("f0", ["x"], ["y"], domain="mine")], IMAGE, ["y"])
        opsets = [helper.make_opsetid("", 13), helper.make_opsetid("mine", 1)]
        model.opset_import.append(opsets[1])
        for level in range(levels):
            follows = f"f{level + 1}" if level + 1 < levels else "f0"
            last = level + 1 == levels and not recursive
            calls = [
                NODE("Relu" if last else follows, [a], [b], domain="" if last else "mine")
                for a, b in (("i", "m"), ("m", "o"))
            ]
            model.functions.append(helper.make_function("mine", f"f{level}", ["i"], ["o"], calls, opsets))
        return model

    return make


def _names() -> onnx.ModelProto:
    return make_model([NODE("Relu", ["x"], ["y"]), NODE("Tanh", ["x"], ["y"])], IMAGE, ["y"])


def _loop(start: str) -> Callable[[], onnx.ModelProto]:
    def make() -> onnx.ModelProto:
        body = helper.make_graph(
            [NODE("Identity", ["k"], ["k2"]), NODE("Add", ["v", "v"], ["v2"])],
            "body",
            [
                helper.make_tensor_value_info("i", TensorProto.INT64, []),
                helper.make_tensor_value_info("k", TensorProto.BOOL, []),
                helper.make_tensor_value_info("v", TensorProto.FLOAT, []),
            ],
            [
                helper.make_tensor_value_info("k2", TensorProto.BOOL, []),
                helper.make_tensor_value_info("v2", TensorProto.FLOAT, []),
            ],
        )
        nodes = [NODE("Loop", ["n", "t", start], ["big"], body=body), NODE("Add", ["x", "big"], ["y"])]
        return make_model(
            nodes, {"x": [1, 3, 8, 8]}, ["y"], {"n": np.array(2**60), "t": np.array(True), "s": np.array(1, np.float32)}
        )

    return make


def _type_of_input() -> onnx.ModelProto:
    model = make_model([NODE("Relu", ["x"], ["y"])], IMAGE, ["y"])
    kind = model.graph.input[0].type
    for _ in range(60):
        outer = onnx.TypeProto()
        outer.sequence_type.elem_type.CopyFrom(kind)
        kind = outer
    model.graph.input[0].type.CopyFrom(kind)
    return model


HOSTILE: dict[str, Callable[[], onnx.ModelProto]] = {
    "cycle": _cycle,
    "missing initializer": _missing,
    "output set twice": _names,
    "ConstantOfShape of 2^44": _expanding(NODE("ConstantOfShape", ["s"], ["big"]), s=i64(2**22, 2**22)),
    "ConstantOfShape of 2^32": _expanding(NODE("ConstantOfShape", ["s"], ["big"]), s=i64(2**16, 2**16)),
    "Expand to 2^33": _expanding(NODE("Expand", ["one", "s"], ["big"]), one=np.ones(1, np.float32), s=i64(2**33)),
    "Tile to 2^33": _expanding(NODE("Tile", ["one", "s"], ["big"]), one=np.ones(1, np.float32), s=i64(2**33)),
    "Range to 2^40": _expanding(
        NODE("Range", ["a", "b", "c"], ["r"]),
        NODE("Cast", ["r"], ["big"], to=1),
        a=np.array(0),
        b=np.array(2**40),
        c=np.array(1),
    ),
    "outer product of 2^32": _expanding(
        NODE("Mul", ["a", "b"], ["big"]), a=np.ones((2**16, 1), np.float32), b=np.ones((1, 2**16), np.float32)
    ),
    "Pad by 2^33": _expanding(NODE("Pad", ["one", "p"], ["big"]), one=np.ones(1, np.float32), p=i64(0, 2**33)),
    "initializer of 2^62 without data": _initializer([2**31, 2**31]),
    "initializer of 2^40 with 4 bytes": _initializer([2**20, 2**20], b"\0\0\0\0"),
    "initializer with a negative extent": _initializer([4, 3, -3, 3], b"\0" * 432),
    "attribute of 2^40": _attribute,
    "input of 2^40": _input(1, 1, 2**20, 2**20),
    "input of 2^31": _input(1, 2, 2**15, 2**15),
    "If 30 deep": _nested(30),
    "functions of 2^40 nodes": _functions(40, recursive=False),
    "functions that call themselves": _functions(3, recursive=True),
    "Loop of 2^60 turns over constants": _loop("s"),
    "Loop of 2^60 turns over data": _loop("x"),
    "sequences 60 deep": _type_of_input,
}
