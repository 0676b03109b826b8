# SPDX-License-Identifier: Apache-2.0
"""mul: Mul of two activations; the smaller one is broadcast, as the gate of a squeeze-and-excite block is."""

from __future__ import annotations

from edgeml.convert.ops.add import check, ordered_sides
from edgeml.convert.ops.rule import OperatorRule, OutputRange
from edgeml.convert.quantizer import Quantizer
from edgeml.ir import Node


def quantize(node: Node, quantizer: Quantizer) -> None:
    """Emit one mul with m = S_a * S_b / S_y."""
    sides = ordered_sides(node, quantizer)
    scales = [side.quant.scale for side in sides]
    multiplier = quantizer.multiplier(node, [scales[0] * scales[1] / quantizer.quant(node.output).scale])
    quantizer.emit("mul", node, [*(side.name for side in sides), multiplier], quantizer.act_bounds(node))


RULE = OperatorRule(("Mul",), OutputRange.OWN, check, quantize)
