# SPDX-License-Identifier: Apache-2.0
"""matmul: MatMul of two activations [N, P, K] x [N, K, M], the two products of attention.

In the artifact the depth of the first operand is on axis 1.
"""

from __future__ import annotations

from edgeml.convert.float_node import unsupported
from edgeml.convert.ops.rule import OperatorRule, OutputRange
from edgeml.convert.quantizer import Quantizer
from edgeml.ir import Graph, Node


def check(node: Node, graph: Graph) -> None:
    """Rank 3, both operands with the batch."""
    shapes = [graph.tensors[name].shape for name in node.inputs]
    if any(len(shape) != 3 or shape[0] != graph.batch for shape in shapes) or any(
        graph.constant(name) is not None for name in node.inputs
    ):
        raise unsupported(
            node,
            graph,
            f"multiplies {shapes[0]} by {shapes[1]}",
            "only [N, P, K] x [N, K, M] of activations is supported",
        )


def quantize(node: Node, quantizer: Quantizer) -> None:
    """Emit transpose, matmul with m = alpha * S_a * S_b / S_y, transpose."""
    a, b, y = (quantizer.quant(name).scale for name in (*node.inputs, node.output))
    multiplier = quantizer.multiplier(node, [float(node.attributes.get("alpha", 1.0)) * a * b / y])
    left = quantizer.channels_first(node.inputs[0])
    attributes = {"depth_axis": 1, **quantizer.act_bounds(node)}
    quantizer.emit_channels_first("matmul", node, [left, quantizer.s8(node.inputs[1]), multiplier], attributes)


RULE = OperatorRule(("MatMul",), OutputRange.OWN, check, quantize)
