# SPDX-License-Identifier: Apache-2.0
"""Nodes that no output depends on, and tensors that nothing uses, disappear."""

from __future__ import annotations

import dataclasses

from edgeml.ir import Graph


def eliminate_dead(graph: Graph) -> Graph:
    """Walk back from the outputs; inputs of the graph stay even if unused, because callers feed them."""
    needed = set(graph.outputs)
    kept = []
    for node in reversed(graph.nodes):
        if needed.intersection(node.outputs):
            kept.append(node)
            needed.update(name for name in node.inputs if name)
    kept.reverse()
    names = needed.union(graph.inputs, *(node.outputs for node in kept))
    tensors = {name: tensor for name, tensor in graph.tensors.items() if name in names}
    return dataclasses.replace(graph, nodes=tuple(kept), tensors=tensors)
