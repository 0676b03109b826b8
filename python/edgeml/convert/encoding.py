# SPDX-License-Identifier: Apache-2.0
"""Quantized graph -> the graph of an artifact: names become indices, attributes take the order of the operator table."""

from __future__ import annotations

import math

from edgeml.artifact import model
from edgeml.artifact.format import NAME_BYTES_MAX
from edgeml.artifact.operators import BY_NAME
from edgeml.ir import Graph, Node


def encode(graph: Graph) -> model.Graph:
    """Tensors in the order in which the quantizer made them."""
    index = {name: i for i, name in enumerate(graph.tensors)}
    tensors: list[model.Tensor] = []
    for name, tensor in graph.tensors.items():
        scale, zero_point = (tensor.quant.scale, tensor.quant.zero_point) if tensor.quant is not None else (0.0, 0)
        border = name in graph.inputs or name in graph.outputs
        short = name if border else _short(name, f"tensor_{len(tensors)}")
        tensors.append(model.Tensor(short, tensor.dtype, tensor.shape, scale, zero_point, tensor.data))
    nodes = [
        model.Node(
            node.op,
            _short(node.name, f"{node.op}_{number}"),
            tuple(index[name] for name in node.inputs),
            tuple(index[name] for name in node.outputs),
            tuple(int(node.attributes[name]) for name in _attribute_names(node)),
        )
        for number, node in enumerate(graph.nodes)
    ]
    return model.Graph(
        tuple(tensors), tuple(nodes), tuple(index[n] for n in graph.inputs), tuple(index[n] for n in graph.outputs)
    )


def _attribute_names(node: Node) -> tuple[str, ...]:
    """In the order of the operator table; those of `assemble`, as many as there are, in their own."""
    names = BY_NAME[node.op].attributes
    return tuple(node.attributes) if names is None else names


def _short(name: str, otherwise: str) -> str:
    """A name that the artifact can hold; exporters write some that are longer."""
    return name if 1 <= len(name.encode()) <= NAME_BYTES_MAX else otherwise


def count_macs(graph: model.Graph) -> int:
    """Multiply-accumulates of one sample in the layers with weights."""
    total = 0
    for node in graph.nodes:
        if node.op in ("conv2d", "depthwise_conv2d", "fully_connected"):
            weights, y = graph.tensors[node.inputs[1]], graph.tensors[node.outputs[0]]
            pixels = math.prod(y.dims[2:])
            total += math.prod(weights.dims) * pixels
    return total
