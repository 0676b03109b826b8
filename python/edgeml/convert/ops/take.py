# SPDX-License-Identifier: Apache-2.0
"""take: Gather of constant positions along any axis but the batch; a single position also drops the axis."""

from __future__ import annotations

import numpy as np

from edgeml.convert.float_node import normal_axis, unsupported
from edgeml.convert.ops.rule import OperatorRule, OutputRange
from edgeml.convert.quantizer import Quantizer
from edgeml.ir import Graph, Node


def check(node: Node, graph: Graph) -> None:
    """Constant positions of rank 0 or 1, not along the batch."""
    positions = graph.constant(node.inputs[1])
    rank = len(graph.tensors[node.inputs[0]].shape)
    if positions is None or positions.ndim > 1 or normal_axis(node.attributes.get("axis", 0), rank) == 0:
        raise unsupported(
            node, graph, "gathers along the batch or by computed positions", "use constant positions along another axis"
        )


def quantize(node: Node, quantizer: Quantizer) -> None:
    """Emit one take, and a reshape where the axis goes."""
    graph = quantizer.graph
    shape = list(graph.tensors[node.inputs[0]].shape)
    axis = normal_axis(node.attributes.get("axis", 0), len(shape))
    positions = np.asarray(graph.constant(node.inputs[1]))
    table = np.where(positions < 0, positions + shape[axis], positions).astype(np.int32).reshape(-1)
    inputs = [quantizer.s8(node.inputs[0]), quantizer.constant(f"{node.name}/positions", table)]
    if positions.ndim == 1:
        quantizer.emit("take", node, inputs, {"axis": axis})
        return
    shape[axis] = 1
    kept = quantizer.activation(f"{node.output}/kept", shape, quantizer.quant(node.output))
    quantizer.emit_internal("take", f"{node.name}/gather", inputs, kept, {"axis": axis})
    quantizer.emit("reshape", node, [kept])


RULE = OperatorRule(("Gather",), OutputRange.SAME_AS_INPUT, check, quantize)
