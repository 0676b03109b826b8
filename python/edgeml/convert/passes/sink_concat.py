# SPDX-License-Identifier: Apache-2.0
"""A Softmax over another axis than that of the Concat before it is taken of each part: detection heads keep scales of their own."""

from __future__ import annotations

from edgeml.convert.float_node import normal_axis
from edgeml.ir import Graph, Node, Tensor


def sink_concat(graph: Graph) -> Graph:
    """Softmax(Concat(x...)) becomes Concat(Softmax(x)...)."""
    for node in graph.nodes:
        producer = graph.producer(node.inputs[0]) if node.op == "Softmax" else None
        if producer is None or producer.op != "Concat" or graph.sole_consumer(producer.output) is not node:
            continue
        rank = len(graph.tensors[node.output].shape)
        if normal_axis(node.attributes.get("axis", -1), rank) == normal_axis(producer.attributes["axis"], rank):
            continue
        tensors, nodes = [], []
        for i, name in enumerate(producer.inputs):
            x = graph.tensors[name]
            y = Tensor(graph.unused_name(f"{node.name}/part{i}"), x.shape, x.dtype)
            tensors.append(y)
            nodes.append(Node("Softmax", f"{node.name}/{i}", (name,), (y.name,), node.attributes))
        joined = Node("Concat", producer.name, tuple(t.name for t in tensors), node.outputs, producer.attributes)
        graph = graph.replaced([producer, node], [*nodes, joined], tensors)
    return graph
