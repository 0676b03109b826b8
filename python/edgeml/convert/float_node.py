# SPDX-License-Identifier: Apache-2.0
"""What passes and operator rules ask of an ONNX node: windows, pads, axes; in one form whatever the exporter wrote."""

from __future__ import annotations

import math
from typing import Final, NamedTuple

from edgeml.errors import UnsupportedOperatorError
from edgeml.ir import Clamp, Graph, Node

OPSET_CANONICAL: Final = 13  # older models are brought to this one; from here on operators keep their form
CLAMPED_OPERATORS: Final = (
    "Conv",
    "Gemm",
    "Linear",
    "Add",
    "Sub",
    "Mul",
    "AveragePool",
)  # those that can carry a fused activation


class Window(NamedTuple):
    """A 2-D window: (height, width) each; pads top, left, bottom, right."""

    kernel: tuple[int, int]
    strides: tuple[int, int]
    dilations: tuple[int, int]
    pads: tuple[int, int, int, int]

    def attributes(self, *, kernel: bool = True) -> dict[str, tuple[int, ...]]:
        """The window as ONNX attributes."""
        values = {"strides": self.strides, "dilations": self.dilations, "pads": self.pads}
        return {"kernel_shape": self.kernel, **values} if kernel else values


def unsupported(node: Node, graph: Graph, what: str, way_out: str) -> UnsupportedOperatorError:
    """The error for a node that cannot be converted; the caller raises it."""
    return UnsupportedOperatorError(f"operator {node.op} (opset {graph.opset}, node {node.name!r}) {what}; {way_out}")


def window_of(node: Node, graph: Graph) -> Window:
    """The window of a Conv, AveragePool or MaxPool over [N, C, H, W], with auto_pad and ceil_mode made into pads.

    ceil_mode is followed by enlarging the bottom and right pads to the last window that begins inside the input.

    Raises:
        UnsupportedOperatorError: the node is not 2-D.
    """
    x, y = graph.tensors[node.inputs[0]].shape, graph.tensors[node.output].shape
    if len(x) != 4:
        raise unsupported(
            node, graph, f"has an input of {len(x)} axes", "only [N, C, H, W] is supported: reshape to 4 axes"
        )
    kernel = tuple(node.attributes.get("kernel_shape", ()))
    if not kernel:
        kernel = graph.tensors[node.inputs[1]].shape[2:]
    strides = tuple(node.attributes.get("strides", (1, 1)))
    dilations = tuple(node.attributes.get("dilations", (1, 1)))
    declared = tuple(node.attributes.get("pads", (0, 0, 0, 0)))
    auto_pad = node.attributes.get("auto_pad", "NOTSET")
    begins, ends = [], []
    for axis in (0, 1):
        extent = (kernel[axis] - 1) * dilations[axis] + 1
        needed = (y[2 + axis] - 1) * strides[axis] + extent - x[2 + axis]  # so that floor gives the declared output
        if auto_pad in ("SAME_UPPER", "SAME_LOWER"):
            total = max(0, needed)
            begins.append(total // 2 if auto_pad == "SAME_UPPER" else total - total // 2)
            ends.append(total - begins[-1])
        else:
            begins.append(0 if auto_pad == "VALID" else declared[axis])
            end = 0 if auto_pad == "VALID" else declared[2 + axis]
            ends.append(max(end, needed - begins[-1]))
    pads = (begins[0], begins[1], ends[0], ends[1])
    return Window((kernel[0], kernel[1]), (strides[0], strides[1]), (dilations[0], dilations[1]), pads)


def canonical_opset(graph: Graph) -> int:
    """The opset in which the nodes of a float graph are written."""
    return max(graph.opset, OPSET_CANONICAL)


def normal_axis(axis: int, rank: int) -> int:
    """A negative axis counted from the front."""
    return axis + rank if axis < 0 else axis


def clamp_of(node: Node, graph: Graph) -> Clamp:
    """The bounds of a Relu or Clip.

    Raises:
        UnsupportedOperatorError: the bounds are computed at run time, or are not a range.
    """
    if node.op == "Relu":
        return Clamp(0.0, math.inf)
    bounds = [-math.inf, math.inf]
    for index, name in enumerate(node.inputs[1:3]):
        if name:
            value = graph.constant(name)
            if value is None:
                raise unsupported(node, graph, "has bounds that are computed at run time", "export constant bounds")
            bounds[index] = float(value)
    if not bounds[0] <= bounds[1]:
        raise unsupported(node, graph, f"has the bounds {bounds}", "export a minimum that is not above the maximum")
    return Clamp(*bounds)
