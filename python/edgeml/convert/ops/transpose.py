# SPDX-License-Identifier: Apache-2.0
"""transpose: Transpose that keeps the batch in front."""

from __future__ import annotations

from edgeml.convert.float_node import unsupported
from edgeml.convert.ops.rule import OperatorRule, OutputRange
from edgeml.convert.quantizer import Quantizer
from edgeml.ir import Graph, Node


def _perm(node: Node, graph: Graph) -> tuple[int, ...]:
    rank = len(graph.tensors[node.inputs[0]].shape)
    return tuple(node.attributes.get("perm", range(rank)[::-1]))


def check(node: Node, graph: Graph) -> None:
    """perm[0] is 0."""
    if _perm(node, graph)[0] != 0:
        raise unsupported(node, graph, f"moves the batch (perm {_perm(node, graph)})", "keep axis 0 in front")


def quantize(node: Node, quantizer: Quantizer) -> None:
    """Emit one transpose."""
    perm = _perm(node, quantizer.graph)
    attributes = {f"perm[{axis}]": perm[axis] if axis < len(perm) else axis for axis in range(8)}
    quantizer.emit("transpose", node, [quantizer.s8(node.inputs[0])], attributes)


RULE = OperatorRule(("Transpose",), OutputRange.SAME_AS_INPUT, check, quantize)
