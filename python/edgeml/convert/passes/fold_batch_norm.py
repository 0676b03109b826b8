# SPDX-License-Identifier: Apache-2.0
"""BatchNormalization becomes a Mul and an Add of constants, which fold_affine folds into the layer before it."""

from __future__ import annotations

import numpy as np

from edgeml.convert.float_node import unsupported
from edgeml.ir import Graph, Node, Tensor


def fold_batch_norm(graph: Graph) -> Graph:
    """Y = x * g + h per channel with g = gamma / sqrt(var + epsilon), h = beta - mean * g, computed in float64.

    Raises:
        UnsupportedOperatorError: training mode, or parameters that are not constant.
    """
    for node in graph.nodes:
        if node.op == "BatchNormalization":
            graph = _fold(graph, node)
    return graph


def _fold(graph: Graph, node: Node) -> Graph:
    constants = [graph.constant(name) for name in node.inputs[1:5]]
    if node.attributes.get("training_mode", 0) or any(c is None for c in constants):
        raise unsupported(
            node, graph, "is in training mode or has computed parameters", "export the model in eval mode"
        )
    gamma, beta, mean, var = (np.asarray(c, dtype=np.float64) for c in constants)
    gain = gamma / np.sqrt(var + node.attributes.get("epsilon", 1e-5))
    shift = beta - mean * gain
    x = graph.tensors[node.inputs[0]]
    shape = (1, -1, *(1 for _ in x.shape[2:]))
    g = Tensor.constant(graph.unused_name(f"{node.name}/gain"), gain.astype(np.float32).reshape(shape))
    h = Tensor.constant(graph.unused_name(f"{node.name}/shift"), shift.astype(np.float32).reshape(shape))
    scaled = Tensor(graph.unused_name(f"{node.name}/scaled"), x.shape, x.dtype)
    nodes = [
        Node("Mul", node.name, (node.inputs[0], g.name), (scaled.name,)),
        Node("Add", f"{node.name}/add", (scaled.name, h.name), node.outputs[:1]),
    ]
    return graph.replaced([node], nodes, [g, h, scaled])
