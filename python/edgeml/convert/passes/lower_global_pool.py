# SPDX-License-Identifier: Apache-2.0
"""GlobalAveragePool, GlobalMaxPool and ReduceMean over height and width become pools with a window of the whole plane."""

from __future__ import annotations

from edgeml.convert.float_node import normal_axis
from edgeml.ir import Graph, Node, Tensor

_POOLS = {"GlobalAveragePool": "AveragePool", "GlobalMaxPool": "MaxPool", "ReduceMean": "AveragePool"}


def lower_global_pool(graph: Graph) -> Graph:
    """Rewrite over [N, C, H, W]; other ranks and other axes are left for the check of operators to name."""
    for node in graph.nodes:
        shape = graph.tensors[node.inputs[0]].shape if node.op in _POOLS else ()
        if len(shape) != 4 or (node.op == "ReduceMean" and _axes(graph, node) != {2, 3}):
            continue
        pool = Node(_POOLS[node.op], node.name, node.inputs[:1], node.outputs, {"kernel_shape": shape[2:]})
        if len(graph.tensors[node.output].shape) == 4:
            graph = graph.replaced([node], [pool])
            continue
        pooled = Tensor(
            graph.unused_name(f"{node.output}/pooled"), (*shape[:2], 1, 1), graph.tensors[node.output].dtype
        )
        pool = Node(pool.op, node.name, pool.inputs, (pooled.name,), pool.attributes)
        flat = Node("Reshape", f"{node.name}/flat", (pooled.name,), node.outputs)
        graph = graph.replaced([node], [pool, flat], [pooled])
    return graph


def _axes(graph: Graph, node: Node) -> set[int]:
    axes = node.attributes.get("axes")
    if axes is None and len(node.inputs) > 1:
        data = graph.constant(node.inputs[1])
        axes = None if data is None else tuple(int(axis) for axis in data.ravel())
    rank = len(graph.tensors[node.inputs[0]].shape)
    return {normal_axis(axis, rank) for axis in (axes or ())}
