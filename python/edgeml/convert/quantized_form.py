# SPDX-License-Identifier: Apache-2.0
"""Quantized operators of ONNX and of `com.microsoft` in one form: DequantizeLinear, the float operator, QuantizeLinear.

The input lists are those of the operators' schemas (ONNX, and ContribOperators.md of onnxruntime).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

from onnx import ModelProto, NodeProto, helper

from edgeml.errors import UnsupportedOperatorError

MICROSOFT: Final = "com.microsoft"
_MOVES: Final = (
    "MaxPool",
    "Reshape",
    "Transpose",
    "Gather",
    "Slice",
    "Squeeze",
    "Unsqueeze",
    "Flatten",
    "Split",
    "Identity",
    "Concat",
)
_DYNAMIC: Final = ("DynamicQuantizeLinear", "ConvInteger", "MatMulInteger")


class _Writer:
    """The float form of one node: names are made from its own."""

    def __init__(self, node: NodeProto, number: int) -> None:
        self.node = node
        self.stem = f"{node.name or node.op_type}/{number}"
        self.nodes: list[NodeProto] = []

    def real(self, quantized: str, scale: str, zero_point: str, *, axis: int = 0) -> str:
        """The float tensor of a quantized input."""
        made = f"{self.stem}/real_{len(self.nodes)}"
        inputs = [quantized, scale, *([zero_point] if zero_point else [])]
        self.nodes.append(helper.make_node("DequantizeLinear", inputs, [made], name=made, axis=axis))
        return made

    def bias(self, quantized: str, x_scale: str, w_scale: str) -> str:
        """The float bias of an int32 one, whose scale is the product of two."""
        scale, made = f"{self.stem}/bias_scale", f"{self.stem}/bias"
        self.nodes.append(helper.make_node("Mul", [x_scale, w_scale], [scale], name=scale))
        self.nodes.append(helper.make_node("DequantizeLinear", [quantized, scale], [made], name=made, axis=0))
        return made

    def compute(
        self, operator: str, inputs: Sequence[str], scale: str, zero_point: str, drop: Sequence[str] = ()
    ) -> None:
        """The float operator, with the attributes of the node but `drop`, and the quantization of its output."""
        made = f"{self.stem}/result" if scale else self.node.output[0]
        compute = helper.make_node(operator, inputs, [made], name=self.node.name or self.stem)
        compute.attribute.extend(a for a in self.node.attribute if a.name not in drop)
        self.nodes.append(compute)
        if scale:
            operands = [made, scale, *([zero_point] if zero_point else [])]
            self.nodes.append(
                helper.make_node(
                    "QuantizeLinear", operands, list(self.node.output), name=f"{self.stem}/quantize", axis=0
                )
            )


def _conv(w: _Writer, i: list[str]) -> None:
    inputs = [w.real(*i[0:3]), w.real(*i[3:6])]
    if len(i) > 8 and i[8]:
        inputs.append(w.bias(i[8], i[1], i[4]))
    w.compute("Conv", inputs, i[6], i[7])


def _matmul(w: _Writer, i: list[str]) -> None:
    w.compute("MatMul", [w.real(*i[0:3]), w.real(*i[3:6], axis=-1)], i[6], i[7])


def _gemm(w: _Writer, i: list[str]) -> None:
    i = [*i, *[""] * (9 - len(i))]
    transposed = any(a.name == "transB" and a.i for a in w.node.attribute)
    inputs = [w.real(*i[0:3]), w.real(*i[3:6], axis=0 if transposed else 1)]
    if i[6]:
        inputs.append(w.bias(i[6], i[1], i[4]))
    w.compute("Gemm", inputs, i[7], i[8])


def _binary(operator: str) -> Callable[[_Writer, list[str]], None]:
    def write(w: _Writer, i: list[str]) -> None:
        i = [*i, *[""] * (8 - len(i))]
        w.compute(operator, [w.real(*i[0:3]), w.real(*i[3:6])], i[6], i[7])

    return write


def _unary(operator: str, drop: Sequence[str] = ()) -> Callable[[_Writer, list[str]], None]:
    def write(w: _Writer, i: list[str]) -> None:
        i = [*i, *[""] * (5 - len(i))]
        if any(a.name == "channels_last" and a.i for a in w.node.attribute):
            raise UnsupportedOperatorError(
                f"operator {MICROSOFT}.{w.node.op_type} (node {w.node.name!r}) has its channels last; export with NCHW"
            )
        w.compute(operator, [w.real(*i[0:3])], i[3], i[4], drop)

    return write


def _concat(w: _Writer, i: list[str]) -> None:
    parts = [w.real(*i[at : at + 3]) for at in range(2, len(i), 3)]
    w.compute("Concat", parts, i[0], i[1])


_OPERATORS: Final[dict[tuple[str, str], Callable[[_Writer, list[str]], None]]] = {
    ("", "QLinearConv"): _conv,
    ("", "QLinearMatMul"): _matmul,
    (MICROSOFT, "QLinearConv"): _conv,
    (MICROSOFT, "QLinearAdd"): _binary("Add"),
    (MICROSOFT, "QLinearMul"): _binary("Mul"),
    (MICROSOFT, "QLinearAveragePool"): _unary("AveragePool", ("channels_last",)),
    (MICROSOFT, "QLinearGlobalAveragePool"): _unary("GlobalAveragePool", ("channels_last",)),
    (MICROSOFT, "QLinearSigmoid"): _unary("Sigmoid"),
    (MICROSOFT, "QLinearLeakyRelu"): _unary("LeakyRelu"),
    (MICROSOFT, "QLinearSoftmax"): _unary("Softmax", ("opset",)),
    (MICROSOFT, "QLinearConcat"): _concat,
    (MICROSOFT, "QGemm"): _gemm,
}


def is_quantized_operator(node: NodeProto) -> bool:
    """Whether an operator quantizes, or works on quantized tensors, and is known here."""
    plain = node.domain in ("", "ai.onnx", MICROSOFT) and node.op_type in ("QuantizeLinear", "DequantizeLinear")
    dynamic = node.domain in ("", "ai.onnx") and node.op_type in _DYNAMIC
    return plain or dynamic or _key(node) in _OPERATORS


def is_quantized(model: ModelProto) -> bool:
    """Whether the graph of a model has such operators."""
    return any(is_quantized_operator(node) for node in model.graph.node)


def _key(node: NodeProto) -> tuple[str, str]:
    return node.domain if node.domain != "ai.onnx" else "", node.op_type


def expand_quantized_operators(model: ModelProto) -> None:
    """Rewrite every quantized operator of the model's graph, in place; nodes of `com.microsoft` that ONNX knows lose the domain.

    Raises:
        UnsupportedOperatorError: an operator with its channels last.
    """
    nodes = list(_expanded(model))
    del model.graph.node[:]
    model.graph.node.extend(nodes)


class _Grid(NamedTuple):
    """Names of the scale and zero point of a quantized tensor."""

    scale: str
    zero_point: str


def _moved(node: NodeProto, grids: dict[str, _Grid], number: int) -> list[NodeProto]:
    """An operator that moves the integers of a quantized tensor, in float between a pair of the same scale."""
    moved = [name for name in node.input if name in grids]
    grid = grids[moved[0]]
    copy = NodeProto.FromString(node.SerializeToString())
    writer = _Writer(node, number)
    for at, name in enumerate(node.input):
        if name in moved:
            copy.input[at] = writer.real(name, *grids[name])
    del copy.output[:]
    writer.nodes.append(copy)
    for name in node.output:
        result = f"{name}/real"
        copy.output.append(result)
        operands = [result, grid.scale, *([grid.zero_point] if grid.zero_point else [])]
        writer.nodes.append(helper.make_node("QuantizeLinear", operands, [name], name=f"{name}/quantize", axis=0))
        grids[name] = grid
    return writer.nodes


def _expanded(model: ModelProto) -> Iterator[NodeProto]:
    grids: dict[str, _Grid] = {}
    for number, node in enumerate([NodeProto.FromString(node.SerializeToString()) for node in model.graph.node]):
        write = _OPERATORS.get(_key(node))
        if node.domain == MICROSOFT and node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            node.domain = ""
        made = [node]
        if write is not None:
            writer = _Writer(node, number)
            write(writer, list(node.input))
            made = writer.nodes
        elif node.op_type in _MOVES and any(name in grids for name in node.input):
            made = _moved(node, grids, number)
        for one in made:
            if one.op_type == "QuantizeLinear":
                grids[one.output[0]] = _Grid(one.input[1], one.input[2] if len(one.input) > 2 else "")
        yield from made
