# SPDX-License-Identifier: Apache-2.0
"""One file per operator: which ONNX operators become it, what it refuses, how it is quantized.

`quantize` and `dequantize` stand at the borders of the graph and are emitted by edgeml.convert.quantizer; `depthwise_conv2d` is
emitted by conv2d, `rescale` by softmax. They come from no ONNX operator of a float graph.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from edgeml.convert.float_node import unsupported
from edgeml.convert.ops import (
    add,
    average_pool2d,
    concat,
    conv2d,
    float32,
    fully_connected,
    layer_norm,
    lut,
    matmul,
    max_pool2d,
    mul,
    pad,
    rescale,
    reshape,
    resize,
    slice,  # noqa: A004 (the operator's name)
    softmax,
    take,
    transpose,
)
from edgeml.convert.ops.float32 import FLOAT_OPERATOR, keep_float
from edgeml.convert.ops.rule import OperatorRule, OutputRange
from edgeml.errors import ConversionError, UnsupportedOperatorError
from edgeml.ir import Graph, Node

_FILES: Final = (
    add,
    average_pool2d,
    concat,
    conv2d,
    float32,
    fully_connected,
    layer_norm,
    lut,
    matmul,
    max_pool2d,
    mul,
    pad,
    rescale,
    reshape,
    resize,
    slice,
    softmax,
    take,
    transpose,
)
RULES: Final[Mapping[str, OperatorRule]] = {name: file.RULE for file in _FILES for name in file.RULE.onnx}


def rule_of(node: Node) -> OperatorRule:
    """The rule of a node that `check_supported` has let pass."""
    return RULES[node.op]


def check_supported(graph: Graph) -> None:
    """Refuse a graph, after the passes, that cannot be quantized whole.

    Raises:
        UnsupportedOperatorError: names operator, opset of the source, node, and a way out.
        ConversionError: the batch does not stay on axis 0.
    """
    for node in graph.nodes:
        _check(node, graph)


def refusal(node: Node, graph: Graph) -> str | None:
    """Why a node cannot be quantized; None where it can."""
    try:
        _check(node, graph)
    except ConversionError as error:
        return str(error)
    return None


def keep_unsupported_float(graph: Graph) -> Graph:
    """The graph with every node that cannot be quantized marked as one that stays in float; its attribute `why` says why.

    Raises:
        UnsupportedOperatorError: a node has no plain form either.
    """
    nodes = []
    for node in graph.nodes:
        why = refusal(node, graph)
        nodes.append(node if why is None else lowerable(node, why, graph))
    return graph.with_nodes(nodes)


def lowerable(node: Node, why: str, graph: Graph) -> Node:
    """The node that stands for another one, which stays in float. Raises UnsupportedOperatorError where it has no plain form."""
    kept = keep_float(node, why)
    try:
        RULES[kept.op].check(kept, graph)
    except UnsupportedOperatorError as error:
        raise UnsupportedOperatorError(f"{why}; in float: {error}") from error
    return kept


def _check(node: Node, graph: Graph) -> None:
    if node.op not in RULES:
        raise unsupported(node, graph, "is not supported", "replace it, or cut the model before it")
    if node.op == FLOAT_OPERATOR:
        return
    RULES[node.op].check(node, graph)
    for name in filter(None, (*node.inputs, *node.outputs)):
        tensor = graph.tensors[name]
        if tensor.data is None and tensor.dtype != "float32":
            raise unsupported(
                node, graph, f"works on {tensor.dtype} ({name!r})", "only float32 models can be quantized"
            )
        if tensor.data is None and (not tensor.shape or tensor.shape[0] != graph.batch):
            raise ConversionError(
                f"node {node.name!r} ({node.op}) has {name!r} of shape {tensor.shape}, whose axis 0 is not the batch; "
                "keep the batch on axis 0"
            )


__all__ = [
    "FLOAT_OPERATOR",
    "RULES",
    "OperatorRule",
    "OutputRange",
    "check_supported",
    "keep_unsupported_float",
    "lowerable",
    "refusal",
    "rule_of",
]
