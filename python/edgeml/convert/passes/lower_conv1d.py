# SPDX-License-Identifier: Apache-2.0
"""Conv, AveragePool, MaxPool and BatchNormalization over [N, C, L] become their 2-D forms over [N, C, L, 1]."""

from __future__ import annotations

from edgeml.ir import Graph, Node, Tensor

_OPERATORS = ("Conv", "AveragePool", "MaxPool", "GlobalAveragePool", "GlobalMaxPool")


def lower_conv1d(graph: Graph) -> Graph:
    """Put a Reshape before and after; the window gets a second axis of 1."""
    for node in graph.nodes:
        if node.op in _OPERATORS and len(graph.tensors[node.inputs[0]].shape) == 3 and len(node.outputs) == 1:
            graph = _lower(graph, node)
    return graph


def _lower(graph: Graph, node: Node) -> Graph:
    x, y = graph.tensors[node.inputs[0]], graph.tensors[node.output]
    wide_x = Tensor(graph.unused_name(f"{node.name}/wide_input"), (*x.shape, 1), x.dtype)
    wide_y = Tensor(graph.unused_name(f"{node.name}/wide_output"), (*y.shape, 1), y.dtype)
    tensors = [wide_x, wide_y]
    inputs = [wide_x.name, *node.inputs[1:]]
    attributes = dict(node.attributes)
    if node.op.startswith("Global"):
        attributes["kernel_shape"] = (x.shape[2],)
    if node.op == "Conv":
        weights = graph.constant(node.inputs[1])
        if weights is None:
            return graph  # the check of operators names it
        wide = Tensor.constant(graph.unused_name(f"{node.inputs[1]}/wide"), weights[..., None])
        tensors.append(wide)
        inputs[1] = wide.name
        attributes.setdefault("kernel_shape", weights.shape[2:])
    for name, filler in (("kernel_shape", 1), ("strides", 1), ("dilations", 1)):
        if name in attributes:
            attributes[name] = (*attributes[name], filler)
    if "pads" in attributes:
        begin, end = attributes["pads"]
        attributes["pads"] = (begin, 0, end, 0)
    operator = node.op.removeprefix("Global")
    nodes = [
        Node("Reshape", f"{node.name}/widen", node.inputs[:1], (wide_x.name,)),
        Node(operator, node.name, tuple(inputs), (wide_y.name,), attributes),
        Node("Reshape", f"{node.name}/narrow", (wide_y.name,), node.outputs),
    ]
    return graph.replaced([node], nodes, tensors)
