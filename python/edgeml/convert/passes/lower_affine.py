# SPDX-License-Identifier: Apache-2.0
"""A per-channel Mul, Div, Add, Sub that no layer took, say the normalisation of an input, becomes a depthwise 1x1 Conv."""

from __future__ import annotations

import math

import numpy as np

from edgeml.convert.passes.affine import Affine, affine_of
from edgeml.ir import Graph, Node, Tensor


def lower_affine(graph: Graph) -> Graph:
    """Chains are joined, so that a normalisation by Sub and Div is rounded once; other ranks than 4 are reshaped."""
    for node in graph.nodes:
        if affine_of(node, graph) is not None and not _is_joined_later(graph, node):
            graph = _lower(graph, node)
    return graph


def _is_joined_later(graph: Graph, node: Node) -> bool:
    consumer = graph.sole_consumer(node.output)
    return consumer is not None and affine_of(consumer, graph) is not None


def _chain(graph: Graph, node: Node) -> tuple[list[Node], Affine]:
    """The affine nodes that end in `node`, first one first, and the map that they are together."""
    chain, total = [node], affine_of(node, graph)
    while total is not None:
        producer = graph.producer(total.x)
        first = None if producer is None else affine_of(producer, graph)
        if producer is None or first is None or graph.sole_consumer(total.x) is not chain[0]:
            return chain, total
        chain.insert(0, producer)
        total = Affine(first.x, first.gain * total.gain, first.shift * total.gain + total.shift)
    raise AssertionError("the caller passes affine nodes only")


def _lower(graph: Graph, node: Node) -> Graph:
    chain, affine = _chain(graph, node)
    x, y = graph.tensors[affine.x], graph.tensors[node.output]
    channels = len(affine.gain)
    w = Tensor.constant(f"{node.name}/weights", affine.gain.astype(np.float32).reshape(channels, 1, 1, 1))
    b = Tensor.constant(f"{node.name}/bias", affine.shift.astype(np.float32))
    attributes = {"group": channels, "kernel_shape": (1, 1)}
    if len(x.shape) == 4:
        conv = Node("Conv", node.name, (x.name, w.name, b.name), node.outputs, attributes)
        return graph.replaced(chain, [conv], [w, b])
    plane = (x.shape[0], channels, math.prod(x.shape[2:]), 1)
    wide_x, wide_y = (Tensor(f"{node.name}/wide_{side}", plane, x.dtype) for side in ("input", "output"))
    nodes = [
        Node("Reshape", f"{node.name}/widen", (x.name,), (wide_x.name,)),
        Node("Conv", node.name, (wide_x.name, w.name, b.name), (wide_y.name,), attributes),
        Node("Reshape", f"{node.name}/narrow", (wide_y.name,), (y.name,)),
    ]
    return graph.replaced(chain, nodes, [w, b, wide_x, wide_y])
