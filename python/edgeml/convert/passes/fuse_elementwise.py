# SPDX-License-Identifier: Apache-2.0
"""Elementwise nodes that together are a function of one tensor (GELU, SiLU, hard-swish as exporters spell them) become one.

The node `Elementwise(x, constants...)` keeps the nodes that it stands for in its attribute `nodes`: float_model.py writes them
out again, ops/lut.py makes one table of them.
"""

from __future__ import annotations

from typing import Final

from edgeml.convert.ops.lut import FUNCTIONS
from edgeml.ir import Graph, Node

_ARITHMETIC: Final = ("Add", "Sub", "Mul", "Div", "Pow")
REGION_NODES_MAX: Final = 32


def fuse_elementwise(graph: Graph) -> Graph:
    """Fuse around every node that joins two branches of one tensor, last ones first, with the largest closed region."""
    for node in reversed(graph.nodes):
        if any(other is node for other in graph.nodes) and _is_join(graph, node):
            graph = _fuse(graph, node)
    return graph


def _activations(graph: Graph, node: Node) -> list[str]:
    return [name for name in node.inputs if name and graph.constant(name) is None]


def _is_elementwise(graph: Graph, node: Node) -> bool:
    """A function of single values: known operator, constants with one element, activations of the output's shape."""
    if node.clamp is not None or len(node.outputs) != 1 or node.op not in (*FUNCTIONS, *_ARITHMETIC, "Relu", "Clip"):
        return False
    shape = graph.tensors[node.output].shape
    for name in filter(None, node.inputs):
        data = graph.constant(name)
        if (data is None and graph.tensors[name].shape != shape) or (data is not None and data.size != 1):
            return False
    return True


def _is_join(graph: Graph, node: Node) -> bool:
    return node.op in _ARITHMETIC and len(_activations(graph, node)) == 2 and _is_elementwise(graph, node)


def _fuse(graph: Graph, join: Node) -> Graph:
    best: tuple[Node, ...] = ()
    best_root = ""
    for root in _ancestors(graph, join):
        region = _region(graph, join, root)
        if len(region) > max(1, len(best)) or (len(region) == 1 and not best and set(join.inputs) == {root}):
            best, best_root = region, root
    if not best:
        return graph
    nodes = list(best)
    while (after := graph.sole_consumer(nodes[-1].output)) is not None and _is_elementwise(graph, after):
        if len(_activations(graph, after)) != 1:
            break
        nodes.append(after)
    names = [name for node in nodes for name in node.inputs if name and graph.constant(name) is not None]
    constants = tuple(dict.fromkeys(names))
    fused = Node("Elementwise", join.name, (best_root, *constants), nodes[-1].outputs, {"nodes": tuple(nodes)})
    return graph.replaced(nodes, [fused])


def _ancestors(graph: Graph, join: Node) -> list[str]:
    """The tensors from which elementwise nodes lead to the join, nearest first."""
    found: list[str] = []
    pending = _activations(graph, join)
    while pending and len(found) < REGION_NODES_MAX:
        name = pending.pop(0)
        if name in found:
            continue
        found.append(name)
        producer = graph.producer(name)
        if producer is not None and _is_elementwise(graph, producer):
            pending += _activations(graph, producer)
    return found


def _region(graph: Graph, join: Node, root: str) -> tuple[Node, ...]:
    """The nodes between root and join in execution order; empty if another tensor leads in or an inner one leads out."""
    inside: list[Node] = [join]
    pending = _activations(graph, join)
    while pending:
        name = pending.pop()
        if name == root:
            continue
        producer = graph.producer(name)
        if producer is None or not _is_elementwise(graph, producer) or len(inside) > REGION_NODES_MAX:
            return ()
        if not any(producer is node for node in inside):
            inside.append(producer)
            pending += _activations(graph, producer)
    for node in inside:
        leads_out = any(not any(reader is other for other in inside) for reader in graph.consumers(node.output))
        if node is not join and (leads_out or node.output in graph.outputs):
            return ()
    return tuple(node for node in graph.nodes if any(node is other for other in inside))
