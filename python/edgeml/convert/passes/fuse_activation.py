# SPDX-License-Identifier: Apache-2.0
"""Relu and Clip become the clamp of the node before them."""

from __future__ import annotations

import dataclasses

from edgeml.convert.float_node import CLAMPED_OPERATORS, clamp_of
from edgeml.ir import Clamp, Graph


def fuse_activation(graph: Graph) -> Graph:
    """Fuse where the producer can clamp and nobody else reads its output; otherwise the activation stays a node."""
    for node in graph.nodes:
        if node.op not in ("Relu", "Clip"):
            continue
        producer = graph.producer(node.inputs[0])
        bounds = clamp_of(node, graph)
        if producer is None or producer.op not in CLAMPED_OPERATORS or graph.sole_consumer(node.inputs[0]) is not node:
            continue
        if producer.clamp is not None:  # clamping twice is clamping to both
            low = min(max(producer.clamp.low, bounds.low), bounds.high)
            bounds = Clamp(low, max(min(producer.clamp.high, bounds.high), low))
        fused = dataclasses.replace(producer, outputs=node.outputs, clamp=bounds)
        graph = graph.replaced([producer, node], [fused])
    return graph
