# SPDX-License-Identifier: Apache-2.0
"""Draws an artifact's graph as SVG: a box per node, rows in the order of data, edges that skip rows beside the column.

A node stands one row under the lowest of the nodes that it reads; so the height is the longest path, and a chain is a column.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final

from edgeml.artifact.model import Graph, Node, Tensor
from edgeml.artifact.operators import BY_NAME, PLAIN_CODE_MIN

BOX_WIDTH: Final = 220
BOX_HEIGHT: Final = 40
GAP_X: Final = 60
GAP_Y: Final = 26
MARGIN: Final = 30
LANES: Final = 8  # of edges that skip rows; more share lanes
LANE_WIDTH: Final = 9
NAME_CHARACTERS: Final = 34
_WEIGHTED: Final = ("conv2d", "depthwise_conv2d", "fully_connected", "matmul")
_BORDER: Final = ("quantize", "dequantize")
_STYLE: Final = """
text { font: 12px system-ui, sans-serif; fill: #1c2430; } text.small { font-size: 10px; fill: #4a5565; }
rect { stroke: #7b8794; rx: 5px; fill: #eef1f5; } rect.weighted { fill: #cfe3f7; } rect.float { fill: #fbe0cc; }
rect.border { fill: #e4e0f5; } rect.port { fill: #d9efd8; } path { stroke: #7b8794; fill: none; stroke-width: 1.3; }
"""


class _Box:
    """A node, or an input of the graph, and where it stands."""

    def __init__(self, title: str, kind: str, tensor: Tensor, row: int) -> None:
        self.title = title
        self.kind = kind
        self.tensor = tensor
        self.row = row
        self.x = 0.0

    @property
    def y(self) -> float:
        """The upper edge."""
        return MARGIN + self.row * (BOX_HEIGHT + GAP_Y)


def graph_picture(graph: Graph, title: str) -> str:
    """The whole SVG document; every text is escaped."""
    boxes, edges = _placed(graph)
    rows: dict[int, list[_Box]] = {}
    for box in boxes:
        rows.setdefault(box.row, []).append(box)
    widest = max(len(row) for row in rows.values())
    lanes = LANES * LANE_WIDTH
    width = 2 * MARGIN + widest * (BOX_WIDTH + GAP_X) + lanes
    height = 2 * MARGIN + len(rows) * (BOX_HEIGHT + GAP_Y)
    for row in rows.values():
        taken = len(row) * BOX_WIDTH + (len(row) - 1) * GAP_X
        left = (width - lanes - taken) / 2
        for at, box in enumerate(row):
            box.x = left + at * (BOX_WIDTH + GAP_X)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">',
        f"<title>{escape(title)}</title><style>{_STYLE}</style>",
        f'<rect width="{width}" height="{height}" style="fill:#fff;stroke:none"/>',
        *_paths(edges, rows, width),
        *(_drawn(box) for box in boxes),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _placed(graph: Graph) -> tuple[list[_Box], list[tuple[_Box, _Box]]]:
    maker: dict[int, _Box] = {}
    boxes, edges = [], []
    for index in graph.inputs:
        tensor = graph.tensors[index]
        maker[index] = _Box(tensor.name, "port", tensor, 0)
        boxes.append(maker[index])
    for node in graph.nodes:
        sources = [maker[i] for i in dict.fromkeys(node.inputs) if i in maker]
        row = 1 + max((box.row for box in sources), default=0)
        box = _Box(f"{node.op}  {node.name}", _kind(node), graph.tensors[node.outputs[0]], row)
        maker[node.outputs[0]] = box
        boxes.append(box)
        edges += [(source, box) for source in sources]
    for index in graph.outputs:
        tensor, source = graph.tensors[index], maker[index]
        box = _Box(tensor.name, "port", tensor, source.row + 1)
        boxes.append(box)
        edges.append((source, box))
    return boxes, edges


def _kind(node: Node) -> str:
    if node.op in _WEIGHTED:
        return "weighted"
    if node.op in _BORDER:
        return "border"
    return "float" if BY_NAME[node.op].code >= PLAIN_CODE_MIN else "other"


def _paths(edges: Sequence[tuple[_Box, _Box]], rows: dict[int, list[_Box]], width: float) -> list[str]:
    paths, skips = [], 0
    for source, target in edges:
        x1, y1 = source.x + BOX_WIDTH / 2, source.y + BOX_HEIGHT
        x2, y2 = target.x + BOX_WIDTH / 2, target.y
        if target.row == source.row + 1:
            middle = (y1 + y2) / 2
            paths.append(f'<path d="M{x1:g} {y1:g} C{x1:g} {middle:g} {x2:g} {middle:g} {x2:g} {y2:g}"/>')
            continue
        between = [box for row in range(source.row, target.row + 1) for box in rows[row]]
        lane = min(max(box.x for box in between) + BOX_WIDTH + 12 + skips % LANES * LANE_WIDTH, width - 4)
        skips += 1
        up, down = y1 + GAP_Y / 2, y2 - GAP_Y / 2
        paths.append(
            f'<path d="M{x1:g} {y1:g} L{x1:g} {up:g} L{lane:g} {up:g} L{lane:g} {down:g} L{x2:g} {down:g} L{x2:g} {y2:g}"/>'
        )
    return paths


def _drawn(box: _Box) -> str:
    dims = "x".join("N" if axis == 0 and dim == 0 else str(dim) for axis, dim in enumerate(box.tensor.dims))
    title = box.title if len(box.title) <= NAME_CHARACTERS else box.title[: NAME_CHARACTERS - 1] + "…"
    detail = f"{box.tensor.dtype.name} {dims}" + (f"  scale {box.tensor.scale:.4g}" if box.tensor.scale else "")
    x, y = box.x, box.y
    return (
        f'<g><title>{escape(box.title)}</title><rect class="{box.kind}" x="{x:g}" y="{y:g}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}"/>'
        f'<text x="{x + 8:g}" y="{y + 16:g}">{escape(title)}</text>'
        f'<text class="small" x="{x + 8:g}" y="{y + 32:g}">{escape(detail)}</text></g>'
    )
