# SPDX-License-Identifier: Apache-2.0
"""Softmax over the only axis longer than 1 becomes a Softmax over [N, C] between two Reshapes."""

from __future__ import annotations

import math

from edgeml.convert.float_node import normal_axis
from edgeml.ir import Graph, Node, Tensor


def lower_softmax(graph: Graph) -> Graph:
    """Rewrite [N, C, 1, 1] and its like; a Softmax of many rows per sample is left for the check of operators to name."""
    for node in graph.nodes:
        if node.op != "Softmax":
            continue
        y = graph.tensors[node.output]
        axis = normal_axis(node.attributes.get("axis", -1), len(y.shape))
        if len(y.shape) == 2 or axis == 0 or math.prod(y.shape[1:]) != y.shape[axis]:
            continue
        flat_x = Tensor(graph.unused_name(f"{node.name}/flat_input"), (y.shape[0], y.shape[axis]), y.dtype)
        flat_y = Tensor(graph.unused_name(f"{node.name}/flat_output"), flat_x.shape, y.dtype)
        nodes = [
            Node("Reshape", f"{node.name}/flatten", node.inputs, (flat_x.name,)),
            Node("Softmax", node.name, (flat_x.name,), (flat_y.name,), {"axis": 1}),
            Node("Reshape", f"{node.name}/unflatten", (flat_y.name,), node.outputs),
        ]
        graph = graph.replaced([node], nodes, [flat_x, flat_y])
    return graph
