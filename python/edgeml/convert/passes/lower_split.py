# SPDX-License-Identifier: Apache-2.0
"""Split becomes one Slice per output."""

from __future__ import annotations

import numpy as np

from edgeml.convert.float_node import normal_axis
from edgeml.ir import Graph, Node, Tensor


def lower_split(graph: Graph) -> Graph:
    """The extents follow from the shapes of the outputs."""
    for node in graph.nodes:
        if node.op != "Split":
            continue
        axis = normal_axis(node.attributes.get("axis", 0), len(graph.tensors[node.inputs[0]].shape))
        begin, slices, tensors = 0, [], []
        for index, output in enumerate(node.outputs):
            end = begin + graph.tensors[output].shape[axis]
            names = []
            for what, value in (("starts", begin), ("ends", end), ("axes", axis)):
                constant = Tensor.constant(graph.unused_name(f"{node.name}/{what}{index}"), np.array([value], np.int64))
                tensors.append(constant)
                names.append(constant.name)
            slices.append(Node("Slice", f"{node.name}/{index}", (node.inputs[0], *names), (output,)))
            begin = end
        graph = graph.replaced([node], slices, tensors)
    return graph
