# SPDX-License-Identifier: Apache-2.0
"""A node that stays in float: what no rule can quantize is lowered to plain operators, between dequantize and quantize."""

from __future__ import annotations

from edgeml.convert.float_model import onnx_parts
from edgeml.convert.ops.rule import OperatorRule, OutputRange
from edgeml.convert.plain.float_node import PlainNodes, lower_node
from edgeml.convert.quantizer import Quantizer
from edgeml.ir import Graph, Node

FLOAT_OPERATOR = "Float"


def keep_float(node: Node, why: str) -> Node:
    """The node that stands for another one, which stays in float."""
    return Node(FLOAT_OPERATOR, node.name, node.inputs, node.outputs, {"nodes": (node,), "why": why})


def float_nodes(graph: Graph) -> list[dict[str, str]]:
    """For the metadata: name, ONNX operator and reason of every node that stays in float."""
    return [
        {"node": node.name, "op": node.attributes["nodes"][0].op, "why": node.attributes["why"]}
        for node in graph.nodes
        if node.op == FLOAT_OPERATOR
    ]


def lowered(node: Node, graph: Graph) -> PlainNodes:
    """The plain operators of a node that stays in float. Raises UnsupportedOperatorError."""
    protos, constants = onnx_parts(node, graph)
    (inner,) = node.attributes["nodes"]
    return lower_node(inner, protos, constants, graph)


def check(node: Node, graph: Graph) -> None:
    """There is a plain form."""
    lowered(node, graph)


def quantize(node: Node, quantizer: Quantizer) -> None:
    """Emit the plain nodes."""
    plain = lowered(node, quantizer.graph)
    quantizer.emit_plain(node, plain.nodes, plain.tensors)


RULE = OperatorRule((FLOAT_OPERATOR,), OutputRange.OWN, check, quantize)
