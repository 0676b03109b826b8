# SPDX-License-Identifier: Apache-2.0
"""Mul, Div, Add, Sub of per-channel constants after a Conv or Gemm go into its weights and bias."""

from __future__ import annotations

import dataclasses

import numpy as np

from edgeml.convert.passes.affine import Affine, affine_of
from edgeml.ir import Graph, Node, Tensor


def fold_affine(graph: Graph) -> Graph:
    """Fold as long as a layer is read by one affine node and nothing else; products are taken in float64."""
    for node in graph.nodes:
        affine = affine_of(node, graph)
        producer = None if affine is None else graph.producer(affine.x)
        if affine is None or producer is None or producer.op not in ("Conv", "Gemm"):
            continue
        if producer.clamp is None and graph.sole_consumer(affine.x) is node:
            graph = _fold(graph, producer, node, affine)
    return graph


def _fold(graph: Graph, layer: Node, node: Node, affine: Affine) -> Graph:
    weights = graph.constant(layer.inputs[1])
    bias_name = layer.inputs[2] if len(layer.inputs) > 2 else ""
    bias = graph.constant(bias_name) if bias_name else np.zeros(len(affine.gain))
    if weights is None or bias is None or (layer.op == "Gemm" and not layer.attributes.get("transB", 0)):
        return graph
    gain = affine.gain.reshape(-1, *(1 for _ in weights.shape[1:]))
    w = Tensor.constant(graph.unused_name(f"{layer.name}/weights"), (weights * gain).astype(np.float32))
    shifted = (bias * affine.gain + affine.shift).astype(np.float32)
    b = Tensor.constant(graph.unused_name(f"{layer.name}/bias"), shifted)
    folded = dataclasses.replace(layer, inputs=(layer.inputs[0], w.name, b.name), outputs=node.outputs)
    return graph.replaced([layer, node], [folded], [w, b])
