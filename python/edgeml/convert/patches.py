# SPDX-License-Identifier: Apache-2.0
"""The inputs under each weight of a layer, at a bounded number of places that are spread evenly over samples and positions.

Columns are in the order of the artifact's weights: taps of the window, and within a tap the input channels of the group.
"""

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from edgeml.convert.float_node import Window, window_of
from edgeml.ir import Graph, Node

Array = npt.NDArray[Any]
PATCHES_PER_COLUMN: Final = 8
PATCHES_MIN: Final = 2048
PATCHES_MAX: Final = 16384
_SHIFT: Final = 7919  # a prime: neighbouring samples look at other positions


class LayerShape(NamedTuple):
    """Weights as [groups, rows a group, columns]; `window` is None for a layer along the last axis."""

    groups: int
    rows: int
    columns: int
    window: Window | None


def layer_shape(node: Node, graph: Graph) -> LayerShape:
    """Of a Conv, Gemm or Linear."""
    shape = graph.tensors[node.inputs[1]].shape
    if node.op != "Conv":
        return LayerShape(1, shape[0], shape[1], None)
    groups = int(node.attributes.get("group", 1))
    return LayerShape(groups, shape[0] // groups, math.prod(shape[1:]), window_of(node, graph))


def patches(values: Array, layer: LayerShape, output_shape: tuple[int, ...], fill: float) -> Array:
    """[groups, patches, columns] of an activation [N, C, H, W] or [N, ..., K]; the same places for the same shapes.

    fill: what stands in the pads.
    """
    limit = min(PATCHES_MAX, max(PATCHES_MIN, PATCHES_PER_COLUMN * layer.columns))
    each = max(1, limit // len(values))
    if layer.window is None:
        flat = values.reshape(len(values), -1, layer.columns)
        places = _places(flat.shape[1], each)
        return np.concatenate([flat[i, (places + i * _SHIFT) % flat.shape[1]] for i in range(len(values))])[None]
    height, width = output_shape[2:]
    places = _places(height * width, each)
    parts = []
    for i, sample in enumerate(values):
        y, x = np.divmod((places + i * _SHIFT) % (height * width), width)
        parts.append(_window_patches(sample, layer.window, y, x, fill))
    found = np.concatenate(parts)  # [n, taps, C]
    n, taps, channels = found.shape
    grouped = found.reshape(n, taps, layer.groups, channels // layer.groups).transpose(2, 0, 1, 3)
    result: Array = grouped.reshape(layer.groups, n, layer.columns)
    return result


def _places(positions: int, count: int) -> Array:
    count = min(positions, count)
    places: Array = np.arange(count) * positions // count
    return places


def _window_patches(sample: Array, window: Window, y: Array, x: Array, fill: float) -> Array:
    """[places, taps, C] of one sample [C, H, W]."""
    top, left, bottom, right = window.pads
    padded = np.pad(sample, ((0, 0), (top, bottom), (left, right)), constant_values=fill)
    taps = [
        padded[:, y * window.strides[0] + i * window.dilations[0], x * window.strides[1] + j * window.dilations[1]].T
        for i in range(window.kernel[0])
        for j in range(window.kernel[1])
    ]
    return np.stack(taps, axis=1)
