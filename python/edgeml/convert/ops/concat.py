# SPDX-License-Identifier: Apache-2.0
"""concat: Concat of activations along any axis but the batch; all take one scale at calibration, save at a float32 output."""

from __future__ import annotations

from edgeml.convert.float_node import normal_axis, unsupported
from edgeml.convert.ops.rule import OperatorRule, OutputRange
from edgeml.convert.quantizer import Quantizer
from edgeml.ir import Graph, Node


def check(node: Node, graph: Graph) -> None:
    """All inputs are activations; the axis is not the batch."""
    if any(graph.constant(name) is not None for name in node.inputs):
        raise unsupported(node, graph, "joins a constant", "only activations can be joined")
    if len(node.inputs) > 64 or _axis(node, graph) == 0:
        raise unsupported(node, graph, "joins along the batch or more than 64 inputs", "use another axis, fewer inputs")


def _axis(node: Node, graph: Graph) -> int:
    return normal_axis(node.attributes["axis"], len(graph.tensors[node.output].shape))


def quantize(node: Node, quantizer: Quantizer) -> None:
    """Emit one concat; at a float32 graph output of dequantized parts, which keep scales of their own."""
    if quantizer.is_float_output(node):
        parts = [quantizer.dequantized(name) for name in node.inputs]
        quantizer.emit_float("concat", node, parts, {"axis": _axis(node, quantizer.graph)})
        return
    inputs = [quantizer.s8(name) for name in node.inputs]
    quantizer.emit("concat", node, inputs, {"axis": _axis(node, quantizer.graph)})


RULE = OperatorRule(("Concat",), OutputRange.SAME_AS_INPUT, check, quantize)
