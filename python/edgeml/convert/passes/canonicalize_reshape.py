# SPDX-License-Identifier: Apache-2.0
"""Reshape, Flatten, Squeeze, Unsqueeze (and an Identity that had to stay) become `Reshape(x)` to the output's shape."""

from __future__ import annotations

from edgeml.convert.float_node import unsupported
from edgeml.ir import Graph, Node

_RESHAPES = ("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Dropout")


def canonicalize_reshape(graph: Graph) -> Graph:
    """One input, no attributes; the target is the declared shape of the output, whose axis 0 stays the batch.

    Raises:
        UnsupportedOperatorError: the target is computed at run time, or the batch is not kept.
    """
    return graph.with_nodes(_canonical(graph, node) if node.op in _RESHAPES else node for node in graph.nodes)


def _canonical(graph: Graph, node: Node) -> Node:
    if any(name and graph.constant(name) is None for name in node.inputs[1:]):
        raise unsupported(node, graph, "has a target that is computed at run time", "export with a fixed shape")
    source, target = graph.tensors[node.inputs[0]].shape, graph.tensors[node.output].shape
    if not source or not target or source[0] != target[0]:
        raise unsupported(node, graph, f"turns {source} into {target}, which moves the batch", "keep axis 0 as it is")
    return Node("Reshape", node.name, node.inputs[:1], node.outputs[:1])
