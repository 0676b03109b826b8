# SPDX-License-Identifier: Apache-2.0
"""FakeQuantize of what lies on its grid already, because only moves of values stand between, disappears."""

from __future__ import annotations

from typing import Final

from edgeml.convert.ops.pad import pads_of
from edgeml.convert.ops.rescale import FAKE_QUANTIZE, params_of
from edgeml.ir import Graph, Node, QuantParams, with_inputs

_MOVES: Final = (
    "Reshape",
    "Flatten",
    "Squeeze",
    "Unsqueeze",
    "Transpose",
    "Gather",
    "Slice",
    "Split",
    "Identity",
    "MaxPool",
)


def drop_repeated(graph: Graph) -> Graph:
    """Readers of such a node's output read its input."""
    grids: dict[str, QuantParams] = {}
    renamed: dict[str, str] = {}
    nodes = []
    for node in graph.nodes:
        moved = with_inputs(node, renamed)
        found = {grids.get(name) for name in moved.inputs if name and graph.constant(name) is None}
        grid = found.pop() if len(found) == 1 else None
        if node.op == FAKE_QUANTIZE:
            if grid == params_of(node) and node.output not in graph.outputs:
                renamed[node.output] = moved.inputs[0]
                continue
            grids[node.output] = params_of(node)
        elif grid is not None and _is_move(node, graph):
            grids.update(dict.fromkeys(filter(None, node.outputs), grid))
        nodes.append(moved)
    return graph.with_nodes(nodes)


def _is_move(node: Node, graph: Graph) -> bool:
    if node.op == "Pad":
        pads = pads_of(node, graph)
        return pads is not None and pads.value == 0.0  # 0 lies on every grid
    return node.op in (*_MOVES, "Concat") or (
        node.op == "Resize" and node.attributes.get("mode", "nearest") == "nearest"
    )
