# SPDX-License-Identifier: Apache-2.0
"""Nodes whose inputs are all constants, and Shape of a tensor whose shape is known, become constants."""

from __future__ import annotations

import numpy as np

from edgeml.convert.constant_evaluation import RANDOM_OPERATORS, NotEvaluatedError, evaluate_constant
from edgeml.convert.float_model import node_proto
from edgeml.convert.float_node import canonical_opset, unsupported
from edgeml.ir import Graph, Node, Tensor


def fold_constants(graph: Graph) -> Graph:
    """Evaluate constant nodes. A free batch inside a folded shape is 0, which Reshape reads as "keep"."""
    tensors = dict(graph.tensors)
    nodes = []
    for node in graph.nodes:
        values = _evaluate(graph.with_nodes(graph.nodes, tensors.values()), node)
        if values is None:
            nodes.append(node)
        for name, value in (values or {}).items():
            tensors[name] = Tensor.constant(name, value)
    # A graph output that turned out constant has no node any more; nothing can run it.
    for name in graph.outputs:
        if tensors[name].data is not None:
            producer = graph.producer(name)
            if producer is not None:
                raise unsupported(producer, graph, f"makes the output {name!r} constant", "drop that output")
    return graph.with_nodes(nodes, tensors.values())


def _evaluate(graph: Graph, node: Node) -> dict[str, np.ndarray] | None:
    """Values of the outputs by name; None where the node depends on the graph's inputs."""
    if node.op == "Shape":
        shape = np.array(graph.tensors[node.inputs[0]].shape, dtype=np.int64)
        return {node.output: shape[node.attributes.get("start", 0) : node.attributes.get("end", len(shape))]}
    if node.op in RANDOM_OPERATORS or any(name and graph.constant(name) is None for name in node.inputs):
        return None
    feed = {name: data for name in node.inputs if name and (data := graph.constant(name)) is not None}
    try:
        return evaluate_constant(node_proto(node, node.inputs, node.outputs), feed, canonical_opset(graph))
    except NotEvaluatedError as error:
        what = f"has constant inputs but cannot be evaluated ({error})"
        raise unsupported(node, graph, what, "fold it in the export") from error
