# SPDX-License-Identifier: Apache-2.0
"""Cross-layer equalization: channels of an activation are brought to like ranges by gains that the layers around them undo.

A layer's rows can be multiplied by the gains of its output channels and its columns divided by those of its input channels
(Nagel et al., arXiv 1906.04721; over tokens that is SmoothQuant's migration, arXiv 2211.10438). In between, clamps at 0, pools,
concatenations, channel shuffles and additions pass a positive gain on, so channels that such operators connect form a class with
one gain. Classes that reach anything else, or an output of the graph, keep the gain 1. A layer with weights is never in a class
with itself, so a depthwise one costs nothing at all.

The input of a graph has no layer before it. Where only layers over its last axis read it, its gains are a multiplication in
float32 before it becomes int8.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Container, Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgeml.convert.calibration import CalibrationData
from edgeml.convert.float_model import FloatModel, to_onnx
from edgeml.convert.float_node import normal_axis
from edgeml.convert.ops.float32 import FLOAT_OPERATOR, keep_float
from edgeml.ir import Graph, Node, Tensor

Array = npt.NDArray[Any]
LAYERS: Final = ("Conv", "Gemm", "Linear")
GAIN_MAX: Final = 64.0
INPUT_RATIO_MIN: Final = 4.0  # of the largest to the smallest peak of an input's channels
SAMPLES_MAX: Final = 32  # that peaks are taken from
BATCH: Final = 4
_HOMOGENEOUS: Final = ("Relu", "LeakyRelu", "MaxPool", "AveragePool", "GlobalAveragePool", "Resize", "Abs", "Neg")


def equalize(graph: Graph, peaks: Mapping[str, Array], strength: float, *, scale_inputs: bool = False) -> Graph:
    """The same function with other scales inside.

    peaks: largest magnitude per channel by activation. strength in 0..1: the power to which the full gain is taken. scale_inputs:
    graph inputs may be multiplied in float32.
    """
    if strength == 0:
        return graph
    scaled = [name for name in graph.inputs if scale_inputs and _is_scalable(graph, name, peaks[name])]
    classes = _Classes(graph, scaled)
    for node in graph.nodes:
        _connect(node, graph, classes)
    gains = classes.gains(peaks, strength)
    equal = _apply(graph, gains)
    for name in scaled:
        equal = _scale_input(equal, name, gains[name])
    return equal


def _is_scalable(graph: Graph, name: str, peaks: Array) -> bool:
    """Whether only layers over the last axis read an input, and its channels differ so much that it is worth a float node."""
    alive = peaks[peaks > 0]
    if not alive.size or alive.max() < INPUT_RATIO_MIN * alive.min():
        return False
    readers = graph.consumers(name)
    return bool(readers) and name not in graph.outputs and all(node.op == "Linear" for node in readers)


def _scale_input(graph: Graph, name: str, gain: Array) -> Graph:
    """A multiplication in float32 between an input and its readers."""
    if np.all(gain == 1):
        return graph
    x = graph.tensors[name]
    factor = Tensor.constant(graph.unused_name(f"{name}/gain"), gain.astype(np.float32))
    scaled = Tensor(graph.unused_name(f"{name}/equalized"), x.shape, x.dtype)
    multiply = Node("Mul", f"{name}/equalize", (name, factor.name), (scaled.name,))
    nodes = [
        dataclasses.replace(node, inputs=tuple(scaled.name if one == name else one for one in node.inputs))
        for node in graph.nodes
    ]
    first = keep_float(multiply, "its channels have very different ranges, which are brought together before 8 bits")
    return graph.with_nodes([first, *nodes], [factor, scaled])


def channel_axis(rank: int) -> int:
    """The axis along which a layer reads and writes channels."""
    return rank - 1 if rank == 3 else 1


def _channels(graph: Graph, name: str) -> int:
    shape = graph.tensors[name].shape
    return shape[channel_axis(len(shape))] if len(shape) > 1 else 1


def _activations(graph: Graph) -> list[str]:
    return [name for name, tensor in graph.tensors.items() if tensor.data is None and tensor.dtype == np.float32]


def channel_peaks(graph: Graph, data: CalibrationData) -> dict[str, Array]:
    """Largest magnitude per channel of every activation, on at most SAMPLES_MAX samples."""
    names = _activations(graph)
    made = [name for name in names if name not in graph.inputs]
    model = FloatModel(to_onnx(graph, made))
    peaks = {name: np.zeros(_channels(graph, name)) for name in names}
    for feed in data.some(SAMPLES_MAX).batches(graph.batch or BATCH):
        for name, values in (feed | model.run(feed)).items():
            axis = channel_axis(values.ndim)
            others = tuple(i for i in range(values.ndim) if i != axis)
            peaks[name] = np.maximum(peaks[name], np.maximum(values.max(axis=others), -values.min(axis=others)))
    return peaks


class _Classes:
    """Union-find over the channels of all activations; class 0 has the gain 1."""

    def __init__(self, graph: Graph, free: Container[str]) -> None:
        self._ids: dict[str, Array] = {}
        self._clamp_high: dict[str, float] = {}
        total = 1
        for name in _activations(graph):
            count = _channels(graph, name)
            self._ids[name] = np.arange(total, total + count)
            total += count
        self._parent = list(range(total))
        for name in (*graph.inputs, *graph.outputs):
            if name not in free:
                self.pin(name)

    def channels(self, name: str) -> Array:
        """The channels of an activation."""
        return self._ids[name]

    def pin(self, name: str) -> None:
        """Leave an activation as it is."""
        if name in self._ids:
            self.join(self._ids[name], np.zeros_like(self._ids[name]))

    def join(self, left: Array, right: Array) -> None:
        """Give channels the gains of others."""
        for a, b in zip(left.tolist(), right.tolist(), strict=True):
            x, y = self._root(a), self._root(b)
            self._parent[max(x, y)] = min(x, y)  # class 0 stays a root

    def bound(self, name: str, high: float) -> None:
        """A clamp cuts an activation off at `high`: a gain may bring what calibration showed up to it, not beyond, and not down."""
        self._clamp_high[name] = min(high, self._clamp_high.get(name, math.inf))

    def _root(self, index: int) -> int:
        while self._parent[index] != index:
            self._parent[index] = self._parent[self._parent[index]]
            index = self._parent[index]
        return index

    def gains(self, peaks: Mapping[str, Array], strength: float) -> dict[str, Array]:
        """The gain of every channel of every activation."""
        gain = np.full(len(self._parent), np.inf)
        for name, ids in self._ids.items():
            roots = np.array([self._root(i) for i in ids.tolist()])
            alive = peaks[name] > 0
            ratio = np.divide(peaks[name].max(), peaks[name], out=np.full(len(ids), np.inf), where=alive)
            full = np.minimum(ratio, GAIN_MAX) ** strength
            if name in self._clamp_high:
                room = np.divide(self._clamp_high[name], peaks[name], out=np.full(len(ids), np.inf), where=alive)
                full = np.minimum(full, np.maximum(room, 1.0))
            np.minimum.at(gain, roots, np.where(alive, full, np.inf))
        gain[~np.isfinite(gain)] = 1.0
        gain[0] = 1.0
        return {name: gain[[self._root(i) for i in ids.tolist()]] for name, ids in self._ids.items()}


def _connect(node: Node, graph: Graph, classes: _Classes) -> None:
    """Join the channels that a node passes on; pin what it does not."""
    inputs = [name for name in node.inputs if name and graph.constant(name) is None]
    if node.clamp is not None:
        if node.clamp.low not in (0.0, -math.inf) or node.clamp.high <= 0:
            classes.pin(node.output)
        elif math.isfinite(node.clamp.high):
            classes.bound(node.output, node.clamp.high)
    if node.op in LAYERS:
        if node.op != "Linear" and len(graph.tensors[inputs[0]].shape) == 3:
            classes.pin(inputs[0])
        return
    passed = _passed(node, graph, classes, inputs)
    if passed is None:
        for name in (*inputs, *(name for name in node.outputs if name)):
            classes.pin(name)
        return
    for channels in passed:
        classes.join(classes.channels(node.output), channels)


def _passed(node: Node, graph: Graph, classes: _Classes, inputs: Sequence[str]) -> list[Array] | None:
    """The channels that those of the output have the gains of; None where a node passes no gain on."""
    shapes = [graph.tensors[name].shape for name in inputs]
    target = graph.tensors[node.output].shape
    if node.op == FLOAT_OPERATOR:
        return None
    x = classes.channels(inputs[0])
    same = len(shapes[0]) == len(target) and len(x) == len(classes.channels(node.output))
    found: list[Array] | None = None
    if node.op in _HOMOGENEOUS or (node.op == "Pad" and same and not node.inputs[2:]):
        found = [x] if same else None
    elif node.op in ("Add", "Sub") and len(inputs) == 2 and shapes[0] == shapes[1]:
        found = [classes.channels(name) for name in inputs]
    elif node.op == "Concat":
        parts = [classes.channels(name) for name in inputs]
        along = normal_axis(node.attributes["axis"], len(target)) == channel_axis(len(target))
        found = [np.concatenate(parts)] if along else parts
    elif node.op == "Gather" and len(shapes[0]) == len(target):
        along = normal_axis(node.attributes.get("axis", 0), len(target)) == channel_axis(len(target))
        found = [x[np.asarray(graph.constant(node.inputs[1]))]] if along else [x]
    elif node.op == "Reshape":
        kept = shapes[0][1:2] == target[1:2] and math.prod(shapes[0][2:]) == 1 and math.prod(target[2:]) == 1
        found = [x] if kept and channel_axis(len(target)) == 1 and channel_axis(len(shapes[0])) == 1 else None
    elif node.op == "MatMul" and len(inputs) == 2:
        classes.pin(inputs[0])
        found = [classes.channels(inputs[1])]
    return found


def _apply(graph: Graph, gains: Mapping[str, Array]) -> Graph:
    """Put the gains into the layers' weights and biases."""
    nodes, tensors = [], []
    for node in graph.nodes:
        if node.op not in LAYERS:
            nodes.append(node)
            continue
        y, x = gains[node.output], gains[node.inputs[0]]
        if np.all(x == 1) and np.all(y == 1):
            nodes.append(node)
            continue
        weights = np.asarray(graph.constant(node.inputs[1]), np.float64)
        groups = int(node.attributes.get("group", 1)) if node.op == "Conv" else 1
        columns = np.repeat(x.reshape(groups, -1), len(y) // groups, axis=0)  # [O, C/groups]
        spread = (len(y), columns.shape[1], *(1 for _ in weights.shape[2:]))
        scaled = weights * y.reshape(-1, *(1 for _ in weights.shape[1:])) / columns.reshape(spread)
        w = Tensor.constant(graph.unused_name(f"{node.name}/equalized_weights"), scaled.astype(np.float32))
        tensors.append(w)
        inputs = [node.inputs[0], w.name]
        if len(node.inputs) > 2 and node.inputs[2]:
            bias = np.asarray(graph.constant(node.inputs[2]), np.float64)
            b = Tensor.constant(graph.unused_name(f"{node.name}/equalized_bias"), (bias * y).astype(np.float32))
            tensors.append(b)
            inputs.append(b.name)
        nodes.append(dataclasses.replace(node, inputs=tuple(inputs)))
    return graph.with_nodes(nodes, tensors)
