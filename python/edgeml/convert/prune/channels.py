# SPDX-License-Identifier: Apache-2.0
"""Removes whole channels between two convolutions: the graph that is left is a smaller dense one.

A channel can go where its tensor is set by a convolution, passes through depthwise convolutions only, and is read by one other
convolution. All of these depend on each other and lose the channel together. Channels that a sum, a concatenation, a
slice or an output of the graph ties to other layers stay. The last convolution's weights make up for what went
(Optimal Brain Surgeon with all rows and taps of a channel as one block).
"""

from __future__ import annotations

import dataclasses
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from edgeml.convert.calibration import CalibrationData
from edgeml.convert.progress import progress
from edgeml.convert.prune.activations import input_moments, spread_samples
from edgeml.convert.prune.layers import Layer, layers_of
from edgeml.convert.prune.moments import Moments
from edgeml.errors import ConversionError
from edgeml.ir import Graph, Node, Tensor

Array = npt.NDArray[Any]
STEP: Final = 4  # channels of a word of C4P
WIDE_STEP: Final = 16  # of tensors with WIDE channels or more: whole vectors
WIDE: Final = 64


class Dependents(NamedTuple):
    """Nodes that lose a channel together: a convolution, the depthwise ones that it feeds, and the layer that reads the last."""

    producer: Layer
    between: tuple[Node, ...]
    consumer: Layer


def remove_channels(graph: Graph, data: CalibrationData, share: float) -> Graph:
    """Remove about the share in (0, 1) of the channels of every tensor that only its neighbours depend on.

    What stays is a multiple of STEP channels, or of WIDE_STEP in wide tensors, and at least that many.

    Raises:
        ConversionError: there is no such tensor.
    """
    found = dependents_of(graph)
    if not found:
        raise ConversionError(
            "no channels of the model can be removed: sums, concatenations or outputs tie all of them; use sparsity in blocks"
        )
    feed = spread_samples(data.arrays(), graph.batch)
    with progress("pruning: channels", len(found)) as advance:
        for group in found:
            layer = next(one for one in layers_of(graph) if one.name == group.consumer.name)
            keep = channels_to_keep(layer.channels, share)
            if keep < layer.channels:
                moments = input_moments(graph, [layer], feed)[layer.name]
                graph = _without(graph, group, *_choose(graph, layer, moments, keep))
            advance(1)
    return graph


def dependents_of(graph: Graph) -> tuple[Dependents, ...]:
    """All groups of nodes that can lose channels, in execution order."""
    layers = {layer.name: layer for layer in layers_of(graph) if layer.window is not None}
    found = []
    for producer in layers.values():
        between: list[Node] = []
        reader = graph.sole_consumer(producer.node.output)
        while reader is not None and _is_depthwise(reader, graph):
            between.append(reader)
            reader = graph.sole_consumer(reader.output)
        nodes = [producer.node, *between, *([reader] if reader is not None else [])]
        constants = [name for node in nodes for name in node.inputs[1:] if name]
        shared = any(len(graph.consumers(name)) > 1 for name in constants) or len(set(constants)) < len(constants)
        if reader is not None and reader.name in layers and not shared:
            found.append(Dependents(producer, tuple(between), layers[reader.name]))
    return tuple(found)


def _is_depthwise(node: Node, graph: Graph) -> bool:
    if node.op != "Conv":
        return False
    rows, channels = graph.tensors[node.inputs[1]].shape[:2]
    return channels == 1 and rows == node.attributes.get("group", 1) and rows > 1


def channels_to_keep(channels: int, share: float) -> int:
    """Of so many channels, without about `share` of them."""
    step = WIDE_STEP if channels >= WIDE else STEP
    return min(channels, max(step, -(-round(channels * (1 - share)) // step) * step))


def _choose(graph: Graph, layer: Layer, moments: Moments, keep: int) -> tuple[Array, Array, Array]:
    """Indices of the channels that stay, the layer's rows [rows, taps, kept channels] and its bias without the others."""
    rows, inverse = layer.rows_of(graph), np.linalg.inv(moments.gram)
    start = rows.copy()
    left = list(range(layer.channels))
    taps = np.arange(layer.taps) * layer.padded_channels
    while len(left) > keep:
        columns = taps[None, :] + np.array(left)[:, None]  # [channels left, taps]
        blocks = inverse[columns[:, :, None], columns[:, None, :]]
        weights = rows[:, columns].transpose(1, 2, 0)  # [channels left, taps, rows]
        cost = (weights * np.linalg.solve(blocks, weights)).sum(axis=(1, 2))
        worst = int(np.argmin(cost))
        gone = columns[worst]
        pulled = np.linalg.solve(inverse[np.ix_(gone, gone)], inverse[gone])
        rows -= rows[:, gone] @ pulled
        inverse -= inverse[:, gone] @ pulled
        rows[:, gone] = 0
        inverse[gone, :] = inverse[:, gone] = 0
        del left[worst]
    bias = layer.bias_of(graph) + (start - rows) @ moments.mean
    kept = np.array(left)
    return kept, rows.reshape(layer.rows, layer.taps, layer.padded_channels)[:, :, kept], bias


def _without(graph: Graph, group: Dependents, kept: Array, rows: Array, bias: Array) -> Graph:
    """The graph with the channels `kept` of a group only."""
    consumer = group.consumer
    shape = (consumer.rows, len(kept), *consumer.weights_shape[2:])
    weights = np.ascontiguousarray(np.moveaxis(rows, 2, 1).reshape(shape), dtype=np.float32)
    changed: dict[str, Node] = {}
    tensors: list[Tensor] = []
    for node in (group.producer.node, *group.between):
        now = next(one for one in graph.nodes if one.name == node.name)
        names = tuple(_part(graph, name, kept, tensors) for name in now.inputs[1:])
        attributes = dict(now.attributes)
        if node in group.between:
            attributes["group"] = len(kept)
        changed[node.name] = dataclasses.replace(now, inputs=(now.inputs[0], *names), attributes=attributes)
        y = graph.tensors[now.output]
        tensors.append(dataclasses.replace(y, shape=(y.shape[0], len(kept), *y.shape[2:])))
    last = next(one for one in graph.nodes if one.name == consumer.name)
    w = Tensor.constant(f"{last.output}/fewer_weights", weights)
    b = Tensor.constant(f"{last.output}/fewer_bias", bias.astype(np.float32))
    changed[last.name] = dataclasses.replace(last, inputs=(last.inputs[0], w.name, b.name))
    return graph.with_nodes([changed.get(node.name, node) for node in graph.nodes], [*tensors, w, b])


def _part(graph: Graph, name: str, kept: Array, tensors: list[Tensor]) -> str:
    data = graph.constant(name) if name else None
    if data is None:
        return name
    made = Tensor.constant(f"{name}/fewer", np.ascontiguousarray(data[kept]))
    tensors.append(made)
    return made.name
