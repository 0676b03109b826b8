# SPDX-License-Identifier: Apache-2.0
"""Chains of Reshape, Transpose, Gather, Slice and the like that only choose channels become one Gather along axis 1.

That is how ShuffleNet shuffles and splits channels. Some exporters move the batch of 1 on the way, so the chain is judged by what
it does: the positions 0, 1, 2, ... of the first tensor are sent through it.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from edgeml.convert.constant_evaluation import NotEvaluatedError, evaluate_constant
from edgeml.convert.float_model import node_proto
from edgeml.convert.float_node import canonical_opset
from edgeml.ir import Graph, Node, Tensor

_MOVES: Final = ("Reshape", "Transpose", "Gather", "Slice", "Squeeze", "Unsqueeze", "Flatten", "Split")
CHAIN_NODES_MAX: Final = 8


def fuse_moves(graph: Graph) -> Graph:
    """Replace the ends of chains; what nobody reads any more is dropped by eliminate_dead."""
    for node in graph.nodes:
        for output in node.outputs if node.op in _MOVES else ():
            readers = graph.consumers(output)
            if output in graph.outputs or any(reader.op not in _MOVES for reader in readers):
                graph = _fuse(graph, node, output)
    return graph


def _chain(graph: Graph, node: Node) -> list[Node]:
    """The moves that end in a node, first one first; the constants of each are known."""
    chain: list[Node] = []
    at: Node | None = node
    while at is not None and at.op in _MOVES and len(chain) < CHAIN_NODES_MAX:
        if any(name and graph.constant(name) is None for name in at.inputs[1:]):
            break
        chain.insert(0, at)
        at = graph.producer(at.inputs[0])
    return chain


def _fuse(graph: Graph, node: Node, output: str) -> Graph:
    chain = _chain(graph, node)
    target = graph.tensors[output]
    while len(chain) > 1:
        source = graph.tensors[chain[0].inputs[0]]
        index = _channels(graph, chain, output)
        if index is not None and source.shape[:1] == target.shape[:1]:
            table = Tensor.constant(graph.unused_name(f"{node.name}/channels"), index)
            gather = Node("Gather", f"{node.name}/{output}", (source.name, table.name), (output,), {"axis": 1})
            if len(node.outputs) == 1:
                return graph.replaced([node], [gather], [table])
        chain = chain[1:]
    return graph


def _channels(graph: Graph, chain: list[Node], output: str) -> np.ndarray | None:
    """Input channel of each output channel where the chain moves whole planes; None where it does anything else."""
    shape = graph.tensors[chain[0].inputs[0]].shape
    target = graph.tensors[output].shape
    if len(shape) < 3 or len(shape) != len(target) or shape[2:] != target[2:] or shape[0] != 1:
        return None
    values = np.arange(int(np.prod(shape)), dtype=np.int64).reshape(shape)
    for node in chain:
        constants = {name: data for name in node.inputs[1:] if name and (data := graph.constant(name)) is not None}
        try:
            results = evaluate_constant(
                node_proto(node, node.inputs, node.outputs),
                {node.inputs[0]: values, **constants},
                canonical_opset(graph),
            )
        except NotEvaluatedError:
            return None
        following = chain.index(node) + 1
        values = results[chain[following].inputs[0] if following < len(chain) else output]
    pixels = int(np.prod(shape[2:]))
    planes = values.reshape(target[1], pixels)
    index = planes[:, 0] // pixels
    expected = index[:, None] * pixels + np.arange(pixels)
    return index.astype(np.int64) if np.array_equal(planes, expected) else None
