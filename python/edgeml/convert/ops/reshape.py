# SPDX-License-Identifier: Apache-2.0
"""reshape: Reshape in the form of passes/canonicalize_reshape.py."""

from __future__ import annotations

from edgeml.convert.ops.rule import OperatorRule, OutputRange
from edgeml.convert.quantizer import Quantizer
from edgeml.ir import Graph, Node


def check(_node: Node, _graph: Graph) -> None:
    """canonicalize_reshape has refused what cannot be converted."""


def quantize(node: Node, quantizer: Quantizer) -> None:
    """Emit one reshape; its target is the shape of the output."""
    quantizer.emit("reshape", node, [quantizer.s8(node.inputs[0])])


RULE = OperatorRule(("Reshape",), OutputRange.SAME_AS_INPUT, check, quantize)
