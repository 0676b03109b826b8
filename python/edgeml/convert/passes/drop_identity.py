# SPDX-License-Identifier: Apache-2.0
"""Identity, Dropout (which does nothing at inference) and Cast to float32 of float32 disappear."""

from __future__ import annotations

import dataclasses

from onnx import TensorProto

from edgeml.ir import Graph, Node


def drop_identity(graph: Graph) -> Graph:
    """Readers of the node's output read its input; a graph output keeps its name through an Identity as Reshape."""
    renamed: dict[str, str] = {}
    nodes = []
    for node in graph.nodes:
        inputs = tuple(renamed.get(name, name) for name in node.inputs)
        if _does_nothing(graph, node) and node.output not in graph.outputs:
            renamed[node.output] = inputs[0]
        else:
            nodes.append(dataclasses.replace(node, inputs=inputs))
    return _rename_outputs(graph.with_nodes(nodes))


def _does_nothing(graph: Graph, node: Node) -> bool:
    if node.op == "Dropout":  # its mask output would be another matter
        return all(not graph.consumers(name) and name not in graph.outputs for name in node.outputs[1:])
    if node.op == "Cast":
        return node.attributes["to"] == TensorProto.FLOAT and graph.tensors[node.inputs[0]].dtype == "float32"
    return node.op == "Identity"


def _rename_outputs(graph: Graph) -> Graph:
    """An Identity that sets a graph output: its producer sets the output instead, where nobody else is in the way."""
    for node in graph.nodes:
        if not _does_nothing(graph, node):
            continue
        source, target = node.inputs[0], node.output
        producer = graph.producer(source)
        if producer is None or source in graph.outputs:
            continue  # stays; quantized as a copy
        nodes = []
        for other in graph.nodes:
            if other is node:
                continue
            inputs = tuple(target if name == source else name for name in other.inputs)
            outputs = tuple(target if name == source else name for name in other.outputs)
            nodes.append(dataclasses.replace(other, inputs=inputs, outputs=outputs))
        return _rename_outputs(graph.with_nodes(nodes))
    return graph
