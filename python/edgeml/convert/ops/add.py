# SPDX-License-Identifier: Apache-2.0
"""add: Add or Sub of two activations; each side has its own multiplier S_side / S_y, negative for Sub.

The smaller side is broadcast; one may be a constant that no layer took, say the positions added to tokens.
"""

from __future__ import annotations

from typing import NamedTuple

from edgeml.convert.float_node import unsupported
from edgeml.convert.ops.rule import OperatorRule, OutputRange
from edgeml.convert.quantizer import Quantizer
from edgeml.ir import Graph, Node, QuantParams


class Side(NamedTuple):
    """An operand as an int8 activation, and its sign in the sum."""

    name: str
    quant: QuantParams
    sign: float


def check(node: Node, graph: Graph) -> None:
    """One side has the output's shape, the other one that or 1 in the place of some extents."""
    target = graph.tensors[node.output].shape
    shapes = [_padded(graph.tensors[name].shape, len(target)) for name in node.inputs]
    constants = [graph.constant(name) is not None for name in node.inputs]
    whole = any(shape == target and not constant for shape, constant in zip(shapes, constants, strict=True))
    ranks = all(c or len(graph.tensors[n].shape) == len(target) for n, c in zip(node.inputs, constants, strict=True))
    if not whole or not ranks:
        raise unsupported(
            node,
            graph,
            f"broadcasts {shapes[0]} with {shapes[1]}",
            "use an activation of the output's shape on one side",
        )
    batched = [shape[0] for shape, constant in zip(shapes, constants, strict=True) if constant and shape]
    if any(extent != 1 for extent in batched):
        raise unsupported(node, graph, "has a constant with a batch", "use one constant for all samples")


def _padded(shape: tuple[int, ...], rank: int) -> tuple[int, ...]:
    return (1,) * (rank - len(shape)) + shape


def ordered_sides(node: Node, quantizer: Quantizer) -> tuple[Side, Side]:
    """Both operands, the one with the output's shape first."""
    graph = quantizer.graph
    target = graph.tensors[node.output].shape
    signs = (1.0, -1.0 if node.op == "Sub" else 1.0)
    sides = []
    for name, sign in zip(node.inputs, signs, strict=True):
        data = graph.constant(name)
        if data is None:
            sides.append(Side(quantizer.s8(name), quantizer.quant(name), sign))
        else:
            made = quantizer.constant_activation(name, data.reshape(_padded(data.shape, len(target))))
            sides.append(Side(made[0], made[1], sign))
    first = 0 if graph.constant(node.inputs[0]) is None and graph.tensors[node.inputs[0]].shape == target else 1
    return sides[first], sides[1 - first]


def quantize(node: Node, quantizer: Quantizer) -> None:
    """Emit one add."""
    scale = quantizer.quant(node.output).scale
    sides = ordered_sides(node, quantizer)
    multiplier = quantizer.multiplier(node, [side.sign * side.quant.scale / scale for side in sides])
    quantizer.emit("add", node, [*(side.name for side in sides), multiplier], quantizer.act_bounds(node))


RULE = OperatorRule(("Add", "Sub"), OutputRange.OWN, check, quantize)
