# SPDX-License-Identifier: Apache-2.0
"""MatMul over tokens [N, ..., K] with constant weights becomes `Linear(x, w [M, K], b [M])`.

A scale after a product of two activations becomes its attribute `alpha`.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from edgeml.ir import Graph, Node, Tensor


def lower_linear(graph: Graph) -> Graph:
    """An Add of a constant along the last axis becomes the bias. Runs before folds that look at single channels."""
    for node in graph.nodes:
        if node.op != "MatMul" or len(graph.tensors[node.inputs[0]].shape) < 3:
            continue
        weights = graph.constant(node.inputs[1])
        if weights is not None and weights.ndim == 2:
            graph = _linear(graph, node, weights)
        elif weights is None and graph.constant(node.inputs[0]) is None:
            graph = _scaled(graph, node)
    return graph


def _constant_side(graph: Graph, node: Node | None, op: str, x: str) -> np.ndarray | None:
    """The constant operand of a node `op` whose other operand is x."""
    if node is None or node.op != op or len(node.inputs) != 2:
        return None
    return graph.constant(node.inputs[1] if node.inputs[0] == x else node.inputs[0])


def _linear(graph: Graph, node: Node, weights: np.ndarray) -> Graph:
    add = graph.sole_consumer(node.output)
    shift = _constant_side(graph, add, "Add", node.output)
    columns = weights.shape[1]
    gone, outputs, bias = [node], node.outputs, np.zeros(columns, np.float32)
    if (
        add is not None
        and shift is not None
        and shift.size in (1, columns)
        and shift.shape[-1:] in ((), (1,), (columns,))
    ):
        gone, outputs, bias = [node, add], add.outputs, np.broadcast_to(shift.reshape(-1), (columns,))
    w = Tensor.constant(graph.unused_name(f"{node.name}/weights"), np.ascontiguousarray(weights.T))
    b = Tensor.constant(graph.unused_name(f"{node.name}/bias"), bias.astype(np.float32))
    return graph.replaced(gone, [Node("Linear", node.name, (node.inputs[0], w.name, b.name), outputs)], [w, b])


def _scaled(graph: Graph, node: Node) -> Graph:
    after = graph.sole_consumer(node.output)
    for op in ("Mul", "Div"):
        factor = _constant_side(graph, after, op, node.output)
        if after is None or factor is None or factor.size != 1 or (op == "Div" and after.inputs[0] != node.output):
            continue
        value = float(factor.reshape(-1)[0])
        alpha = value if op == "Mul" else 1.0 / value if value else 0.0
        if alpha > 0:
            scaled = dataclasses.replace(node, outputs=after.outputs, attributes={"alpha": alpha})
            return graph.replaced([node, after], [scaled])
    return graph
