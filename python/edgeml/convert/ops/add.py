# SPDX-License-Identifier: Apache-2.0
"""add: Add or Sub of two activations of one shape; each side has its own multiplier S_side / S_y, negative for Sub."""

from __future__ import annotations

from edgeml.convert.float_node import unsupported
from edgeml.convert.ops.rule import OperatorRule, OutputRange
from edgeml.convert.quantizer import Quantizer
from edgeml.ir import Graph, Node


def check(node: Node, graph: Graph) -> None:
    """Both sides are activations of the output's shape; constants have been folded or lowered where they could be."""
    shapes = [graph.tensors[name].shape for name in node.inputs]
    if any(graph.constant(name) is not None for name in node.inputs):
        raise unsupported(
            node, graph, f"has a constant of shape {shapes}", "use a scalar or one value per channel (axis 1)"
        )
    if any(shape != graph.tensors[node.output].shape for shape in shapes):
        raise unsupported(
            node, graph, f"broadcasts {shapes[0]} with {shapes[1]}", "use two activations of the same shape"
        )


def quantize(node: Node, quantizer: Quantizer) -> None:
    """Emit one add."""
    scale = quantizer.quant(node.output).scale
    left, right = (quantizer.quant(name).scale / scale for name in node.inputs)
    multiplier = quantizer.multiplier(node, [left, -right if node.op == "Sub" else right])
    sides = [quantizer.s8(name) for name in node.inputs]
    quantizer.emit("add", node, [*sides, multiplier], quantizer.act_bounds(node))


RULE = OperatorRule(("Add", "Sub"), OutputRange.OWN, check, quantize)
