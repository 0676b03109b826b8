# SPDX-License-Identifier: Apache-2.0
"""A Pad with zeros in height and width becomes the pads of the convolution, or of the averaging that counts them, after it."""

from __future__ import annotations

import dataclasses

from edgeml.convert.float_node import window_of
from edgeml.convert.ops.pad import pads_of
from edgeml.ir import Graph, Node


def fold_pad(graph: Graph) -> Graph:
    """Fold where the pads stay smaller than the window, which the artifact asks for."""
    for node in graph.nodes:
        consumer = graph.sole_consumer(node.output) if node.op == "Pad" else None
        if consumer is not None and len(graph.tensors[node.output].shape) == 4 and _takes_zeros(graph, consumer, node):
            graph = _fold(graph, node, consumer)
    return graph


def _takes_zeros(graph: Graph, consumer: Node, pad: Node) -> bool:
    if consumer.op == "Conv":
        return consumer.inputs[0] == pad.output
    if consumer.op != "AveragePool" or consumer.attributes.get("ceil_mode", 0):
        return False
    return bool(consumer.attributes.get("count_include_pad", 0)) or not any(window_of(consumer, graph).pads)


def _fold(graph: Graph, pad: Node, consumer: Node) -> Graph:
    found = pads_of(pad, graph)
    if found is None:
        return graph
    begin, end, value = found
    window = window_of(consumer, graph)
    pads = tuple(a + b for a, b in zip(window.pads, (*begin[2:], *end[2:]), strict=True))
    extents = [(k - 1) * d + 1 for k, d in zip(window.kernel, window.dilations, strict=True)]
    if (
        value != 0
        or any((*begin[:2], *end[:2]))
        or min(pads) < 0
        or any(p >= extents[i % 2] for i, p in enumerate(pads))
    ):
        return graph
    attributes = {**consumer.attributes, **window.attributes(), "pads": pads, "auto_pad": "NOTSET"}
    if consumer.op == "AveragePool":
        attributes["count_include_pad"] = 1
        attributes.pop("dilations")
    folded = dataclasses.replace(consumer, inputs=(pad.inputs[0], *consumer.inputs[1:]), attributes=attributes)
    return graph.replaced([pad, consumer], [folded])
