# SPDX-License-Identifier: Apache-2.0
"""resize_nearest and resize_linear: Resize of height and width; the coordinates of ONNX are worked out here, once."""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from edgeml.convert.float_node import unsupported
from edgeml.convert.ops.rule import OperatorRule, OutputRange
from edgeml.convert.quantizer import Quantizer
from edgeml.ir import Graph, Node

WEIGHT_SUM: Final = 1024  # artifact-format.md, operator 23
_MODES: Final = ("half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel")


class Taps(NamedTuple):
    """Two input positions for each output position, and the integer weight of the second one."""

    positions: npt.NDArray[np.int32]  # [2 * out]
    weights: npt.NDArray[np.int32]  # [out]


def check(node: Node, graph: Graph) -> None:
    """Nearest or linear over height and width of [N, C, H, W], no antialiasing, no region of interest."""
    x, y = graph.tensors[node.inputs[0]].shape, graph.tensors[node.output].shape
    mode, coordinates = node.attributes.get("mode", "nearest"), _coordinates(node)
    good = len(x) == 4 and x[:2] == y[:2] and mode in ("nearest", "linear") and coordinates in _MODES
    if not good or node.attributes.get("antialias", 0) or node.attributes.get("exclude_outside", 0):
        raise unsupported(
            node, graph, f"is {mode} with {coordinates} from {x} to {y}", "use nearest or linear over height and width"
        )


def _coordinates(node: Node) -> str:
    return str(node.attributes.get("coordinate_transformation_mode", "half_pixel"))


def _scales(node: Node, graph: Graph) -> tuple[float, float]:
    """Factors of height and width: as given where they are, else those of the extents."""
    given = graph.constant(node.inputs[2]) if len(node.inputs) > 2 and node.inputs[2] else None
    if given is not None and given.size == 4:
        return float(given[2]), float(given[3])
    x, y = graph.tensors[node.inputs[0]].shape, graph.tensors[node.output].shape
    return y[2] / x[2], y[3] / x[3]


def _sources(node: Node, scale: float, size: int, count: int) -> npt.NDArray[np.float64]:
    """The input coordinate of each output position (ONNX, operator Resize)."""
    at = np.arange(count, dtype=np.float64)
    coordinates = _coordinates(node)
    if coordinates == "asymmetric":
        return at / scale
    if coordinates == "align_corners":
        return at * (size - 1) / (count - 1) if count > 1 else np.zeros(1)
    if coordinates == "pytorch_half_pixel" and count == 1:
        return np.zeros(1)
    return (at + 0.5) / scale - 0.5


def nearest(node: Node, scale: float, size: int, count: int) -> npt.NDArray[np.int32]:
    """The input position of each output position."""
    source = _sources(node, scale, size, count)
    rounding = node.attributes.get("nearest_mode", "round_prefer_floor")
    if rounding == "floor":
        found = np.floor(source)
    elif rounding == "ceil":
        found = np.ceil(source)
    else:
        found = np.ceil(source - 0.5) if rounding == "round_prefer_floor" else np.floor(source + 0.5)
    return np.clip(found, 0, size - 1).astype(np.int32)


def linear(node: Node, scale: float, size: int, count: int) -> Taps:
    """Neighbours and weights of each output position; beyond the border the border counts."""
    source = np.clip(_sources(node, scale, size, count), 0, size - 1)
    first = np.minimum(np.floor(source), max(size - 2, 0))
    weights = np.rint((source - first) * WEIGHT_SUM).astype(np.int32)
    second = np.minimum(first + 1, size - 1)
    return Taps(np.stack([first, second], axis=1).reshape(-1).astype(np.int32), weights)


def quantize(node: Node, quantizer: Quantizer) -> None:
    """Emit a resize_nearest, or a resize_linear with m = S_x / (2^20 * S_y)."""
    graph = quantizer.graph
    x, y = graph.tensors[node.inputs[0]].shape, graph.tensors[node.output].shape
    scales = _scales(node, graph)
    source = quantizer.s8(node.inputs[0])
    axes = [(word, (scales[i], x[2 + i], y[2 + i])) for i, word in enumerate(("rows", "columns"))]
    if node.attributes.get("mode", "nearest") == "nearest":
        tables = [quantizer.constant(f"{node.name}/{word}", nearest(node, *axis)) for word, axis in axes]
        quantizer.emit("resize_nearest", node, [source, *tables])
        return
    tables = []
    for word, axis in axes:
        taps = linear(node, *axis)
        tables.append(quantizer.constant(f"{node.name}/{word}", taps.positions))
        tables.append(quantizer.constant(f"{node.name}/{word}_weights", taps.weights))
    unit = math.pow(2.0, -20)
    factor = quantizer.quant(node.inputs[0]).scale * unit / quantizer.quant(node.output).scale
    inputs = [source, *tables, quantizer.multiplier(node, [factor])]
    quantizer.emit("resize_linear", node, inputs, quantizer.act_bounds(node))


RULE = OperatorRule(("Resize",), OutputRange.SAME_AS_INPUT, check, quantize)
