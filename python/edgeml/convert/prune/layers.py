# SPDX-License-Identifier: Apache-2.0
"""The layers of a float graph that can be pruned, their weights as rows of blocks, and the inputs under each weight.

A row holds the weights of one output channel, tap after tap, the input channels of a tap together and padded with zeros to a
multiple of 4: the order of the artifact, in which a block is r rows times 4 neighbours.
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgeml.artifact.block_sparse import BLOCK_COLUMNS
from edgeml.convert.float_node import Window, window_of
from edgeml.ir import Clamp, Graph, Node, Tensor

Array = npt.NDArray[Any]

_SHAPE_ONLY: Final = ("Reshape", "Transpose", "Flatten", "Pad", "Slice")


@dataclasses.dataclass(frozen=True)
class Layer:
    """A Conv with one group, a Gemm or a Linear. `window` is None for the latter two; positions: outputs a sample and channel."""

    node: Node
    weights_shape: tuple[int, ...]
    window: Window | None
    positions: int

    @property
    def name(self) -> str:
        """The node's name, which is unique in a graph."""
        return self.node.name

    @property
    def rows(self) -> int:
        """Output channels."""
        return self.weights_shape[0]

    @property
    def channels(self) -> int:
        """Input channels."""
        return self.weights_shape[1]

    @property
    def padded_channels(self) -> int:
        """Input channels, made up to whole blocks."""
        return -(-self.channels // BLOCK_COLUMNS) * BLOCK_COLUMNS

    @property
    def taps(self) -> int:
        """Positions of the window."""
        return math.prod(self.weights_shape[2:])

    @property
    def columns(self) -> int:
        """Length of a row with its padding."""
        return self.taps * self.padded_channels

    @property
    def weights(self) -> int:
        """Number of weights, padding not counted."""
        return math.prod(self.weights_shape)

    def rows_of(self, graph: Graph) -> Array:
        """float64 [rows, columns] of the weights."""
        weights = np.asarray(graph.constant(self.node.inputs[1]), np.float64)
        rows = np.moveaxis(weights.reshape(self.rows, self.channels, self.taps), 1, 2)
        padding = self.padded_channels - self.channels
        return np.pad(rows, ((0, 0), (0, 0), (0, padding))).reshape(self.rows, self.columns)

    def block_sizes(self, block_rows: int) -> Array:
        """Weights in every block, int [ceil(rows / block_rows), columns / 4]; padding does not count."""
        ones = np.ones((self.rows, self.taps, self.channels), np.int64)
        padding = (0, -self.rows % block_rows), (0, 0), (0, self.padded_channels - self.channels)
        blocks = np.pad(ones, padding).reshape(-1, block_rows, self.columns // BLOCK_COLUMNS, BLOCK_COLUMNS)
        sizes: Array = blocks.sum(axis=(1, 3))
        return sizes

    def weights_of(self, rows: Array) -> Array:
        """The inverse of `rows_of`: float32 in the node's layout."""
        taps = rows.reshape(self.rows, self.taps, self.padded_channels)[:, :, : self.channels]
        return np.ascontiguousarray(np.moveaxis(taps, 2, 1).reshape(self.weights_shape), dtype=np.float32)

    def bias_of(self, graph: Graph) -> Array:
        """float64 [rows]; zeros where the node has none."""
        name = self.node.inputs[2] if len(self.node.inputs) > 2 else ""
        return np.zeros(self.rows) if not name else np.asarray(graph.constant(name), np.float64).reshape(-1)

    def inputs_at(self, x: Array, sample: Array, position: Array) -> Array:
        """float32 [n, columns]: what the weights see for n pairs of sample and position, from the layer's input."""
        if self.window is None:
            flat = x.reshape(len(x), self.positions, self.channels)[sample, position]
            return np.pad(flat, ((0, 0), (0, self.padded_channels - self.channels)))
        window = self.window
        top, left, bottom, right = window.pads
        padded = np.pad(x, ((0, 0), (0, self.padded_channels - self.channels), (top, bottom), (left, right)))
        extents = [(k - 1) * d + 1 for k, d in zip(window.kernel, window.dilations, strict=True)]
        views = np.lib.stride_tricks.sliding_window_view(padded, extents, axis=(2, 3))
        strides, dilations = window.strides, window.dilations
        views = views[:, :, :: strides[0], :: strides[1], :: dilations[0], :: dilations[1]]
        width = views.shape[3]
        found = views[sample, :, position // width, position % width]  # [n, channels, kh, kw]
        patches: Array = found.transpose(0, 2, 3, 1).reshape(len(sample), self.columns)
        return patches

    def outputs_at(self, y: Array, sample: Array, position: Array) -> Array:
        """float32 [n, rows]: the layer's output at the same pairs."""
        if self.window is None:
            return y.reshape(len(y), self.positions, self.rows)[sample, position]
        width = y.shape[3]
        return y[sample, :, position // width, position % width]


def layers_of(graph: Graph) -> tuple[Layer, ...]:
    """All Conv, Gemm and Linear with constant weights and one group, in execution order."""
    layers = []
    for node in graph.nodes:
        if node.op not in ("Conv", "Gemm", "Linear") or node.attributes.get("group", 1) != 1:
            continue
        shape, y = graph.tensors[node.inputs[1]].shape, graph.tensors[node.output].shape
        window = window_of(node, graph) if node.op == "Conv" else None
        positions = math.prod(y[2:]) if node.op == "Conv" else math.prod(y[1:-1])
        layers.append(Layer(node, shape, window, positions))
    return tuple(layers)


def prunable_layers(graph: Graph) -> tuple[Layer, ...]:
    """Those that may be pruned: all that read no graph input and share their weights with no other node."""
    first = _inputs_and_their_shapes(graph)
    uses = Counter(name for node in graph.nodes for name in node.inputs)
    return tuple(
        layer for layer in layers_of(graph) if layer.node.inputs[0] not in first and uses[layer.node.inputs[1]] == 1
    )


def _inputs_and_their_shapes(graph: Graph) -> set[str]:
    """Graph inputs and what is only another arrangement of them."""
    found = set(graph.inputs)
    for node in graph.nodes:
        if node.op in _SHAPE_ONLY and node.inputs[0] in found:
            found.update(node.outputs)
    return found


def with_layers(graph: Graph, changed: Mapping[str, tuple[Layer, Array, Array]]) -> Graph:
    """The graph with other weights: by node name the layer, its rows [rows, columns] and its bias [rows]."""
    nodes: list[Node] = []
    tensors: list[Tensor] = []
    for node in graph.nodes:
        if node.name not in changed:
            nodes.append(node)
            continue
        layer, rows, bias = changed[node.name]
        w = Tensor.constant(f"{node.output}/pruned_weights", layer.weights_of(rows))
        b = Tensor.constant(f"{node.output}/pruned_bias", bias.astype(np.float32))
        tensors += [w, b]
        nodes.append(dataclasses.replace(node, inputs=(node.inputs[0], w.name, b.name)))
    return graph.with_nodes(nodes, tensors)


def open_clamps(graph: Graph, layers: Sequence[Layer]) -> tuple[Graph, dict[str, str]]:
    """The graph with the fused activations of these layers as nodes of their own, and the name of each layer's raw output."""
    wanted = {layer.name for layer in layers}
    raw: dict[str, str] = {}
    nodes: list[Node] = []
    tensors: list[Tensor] = []
    for node in graph.nodes:
        if node.name in wanted:
            raw[node.name] = node.output
        if node.name not in wanted or node.clamp is None:
            nodes.append(node)
            continue
        y = graph.tensors[node.output]
        name = f"{node.output}/raw"
        raw[node.name] = name
        tensors.append(Tensor(name, y.shape, y.dtype))
        nodes.append(dataclasses.replace(node, outputs=(name,), clamp=None))
        nodes += _clip(node.clamp, name, node, tensors)
    return graph.with_nodes(nodes, tensors), raw


def _clip(clamp: Clamp, x: str, node: Node, tensors: list[Tensor]) -> list[Node]:
    bounds = []
    for side, value in zip(("low", "high"), clamp, strict=True):
        bounds.append(f"{x}/{side}" if math.isfinite(value) else "")
        if bounds[-1]:
            tensors.append(Tensor.constant(bounds[-1], np.array(value, np.float32)))
    return [Node("Clip", f"{node.name}/activation", (x, *bounds), node.outputs)]
