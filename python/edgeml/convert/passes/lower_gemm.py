# SPDX-License-Identifier: Apache-2.0
"""Gemm and MatMul with constant weights become `Gemm(x [N, K], w [M, K], b [M])` with transB = 1 and nothing else."""

from __future__ import annotations

import numpy as np

from edgeml.ir import Graph, Node, Tensor


def lower_gemm(graph: Graph) -> Graph:
    """Fold alpha, beta, transB and a missing bias into the constants. An Add after a MatMul is left to fold_affine."""
    for node in graph.nodes:
        if node.op in ("Gemm", "MatMul"):
            graph = _lower(graph, node)
    return graph


def _lower(graph: Graph, node: Node) -> Graph:
    x, y = graph.tensors[node.inputs[0]], graph.tensors[node.output]
    weights = graph.constant(node.inputs[1])
    bias_name = node.inputs[2] if len(node.inputs) > 2 else ""
    bias = graph.constant(bias_name) if bias_name else np.zeros(1, np.float32)
    if weights is None or bias is None or len(x.shape) != 2 or weights.ndim != 2 or node.attributes.get("transA", 0):
        return graph  # the check of operators names it
    if bias.ndim > 2 or (bias.ndim == 2 and bias.shape[0] != 1):
        return graph
    scaled = weights if node.attributes.get("transB", 0) else weights.T
    if node.op == "Gemm":
        scaled = scaled * np.float32(node.attributes.get("alpha", 1.0))
        bias = bias * np.float32(node.attributes.get("beta", 1.0))
    w = Tensor.constant(graph.unused_name(f"{node.name}/weights"), np.ascontiguousarray(scaled, dtype=np.float32))
    full = np.broadcast_to(bias.reshape(-1), (y.shape[1],)).astype(np.float32)
    b = Tensor.constant(graph.unused_name(f"{node.name}/bias"), full)
    lowered = Node("Gemm", node.name, (node.inputs[0], w.name, b.name), node.outputs, {"transB": 1})
    return graph.replaced([node], [lowered], [w, b])
