# SPDX-License-Identifier: Apache-2.0
"""Runs float graphs on calibration data and sums the moments of their layers over a bounded number of patches."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from edgeml.convert.float_model import FloatModel, to_onnx
from edgeml.convert.passes.eliminate_dead import eliminate_dead
from edgeml.convert.prune.layers import Layer
from edgeml.convert.prune.moments import Moments
from edgeml.ir import Graph

Array = npt.NDArray[Any]
SAMPLES_MAX: Final = 512  # of the calibration data; more moments of the same kind change little
PATCHES_MAX: Final = 32_768  # of a layer over all samples
PATCH_BYTES_MAX: Final = 256 * 2**20  # of the patches of a layer
BATCH_BYTES_MAX: Final = 128 * 2**20  # of all activations of one batch


def spread_samples(feed: Mapping[str, Array], batch: int) -> dict[str, Array]:
    """At most SAMPLES_MAX samples, spread over all; whole batches where the batch is fixed."""
    samples = len(next(iter(feed.values())))
    if samples <= SAMPLES_MAX:
        return dict(feed)
    count = max(SAMPLES_MAX - SAMPLES_MAX % (batch or 1), batch)
    begin = np.arange(count // (batch or 1)) * (samples // (batch or 1)) // (count // (batch or 1)) * (batch or 1)
    chosen = (begin[:, None] + np.arange(batch or 1)).reshape(-1)
    return {name: array[chosen] for name, array in feed.items()}


def batch_size(graph: Graph, samples: int) -> int:
    """Samples that are run at a time, the same for every graph that differs in constants only."""
    per_sample = sum(4 * math.prod(tensor.shape[1:]) for tensor in graph.tensors.values() if tensor.data is None)
    return graph.batch or max(1, min(samples, BATCH_BYTES_MAX // max(1, per_sample)))


def run_tensors(graph: Graph, names: Sequence[str], feed: Mapping[str, Array], size: int) -> Iterator[dict[str, Array]]:
    """The named activations, `size` samples at a time; only what they depend on is computed."""
    made = [name for name in dict.fromkeys(names) if name not in graph.inputs]
    needed = eliminate_dead(dataclasses.replace(graph, outputs=tuple(made)))
    model = FloatModel(to_onnx(needed, made)) if made else None
    samples = len(next(iter(feed.values())))
    for begin in range(0, samples, size):
        batch = {name: array[begin : begin + size] for name, array in feed.items()}
        yield {**batch, **(model.run(batch) if model is not None else {})}


class Patches:
    """Which pairs of sample and position of a layer are looked at: all, or PATCHES_MAX that are spread evenly."""

    def __init__(self, layer: Layer, samples: int) -> None:
        self._layer = layer
        patches = min(PATCHES_MAX, PATCH_BYTES_MAX // (4 * layer.columns))
        self._count = min(layer.positions, max(1, patches // samples))

    def pairs(self, first: int, samples: int) -> tuple[Array, Array]:
        """Sample and position indices of a batch that begins at sample `first`; samples count from 0 in the batch."""
        positions = self._layer.positions
        base = np.arange(self._count) * positions // self._count
        sample = np.arange(samples)
        shift = (first + sample) * 7919  # a prime: neighbouring samples look at other positions
        return np.repeat(sample, self._count), ((base[None, :] + shift[:, None]) % positions).reshape(-1)


def input_moments(graph: Graph, layers: Sequence[Layer], feed: Mapping[str, Array]) -> dict[str, Moments]:
    """Moments of the inputs of all layers, by node name."""
    samples = len(next(iter(feed.values())))
    size = batch_size(graph, samples)
    found = {layer.name: Moments(layer.columns) for layer in layers}
    first = 0
    for values in run_tensors(graph, [layer.node.inputs[0] for layer in layers], feed, size):
        count = len(next(iter(values.values())))
        for layer in layers:
            sample, position = Patches(layer, samples).pairs(first, count)
            found[layer.name].add(layer.inputs_at(values[layer.node.inputs[0]], sample, position))
        first += count
    return found


class Aim(NamedTuple):
    """What a layer should give: the tensor `raw` of the dense graph; where it is only added to `shortcut`, their sum counts."""

    layer: Layer
    raw: str
    shortcut: str | None


class Fit(NamedTuple):
    """Inputs float32 [n, columns] of a layer in the pruned graph, and the outputs wanted before its activation, [n, rows]."""

    x: Array
    wanted: Array


def gather_fit(dense: Graph, pruned: Graph, aim: Aim, feed: Mapping[str, Array]) -> Fit:
    """What a layer sees in the pruned graph and what it should make of it, which makes up for what went wrong before it."""
    layer, source = aim.layer, aim.layer.node.inputs[0]
    samples = len(next(iter(feed.values())))
    size = batch_size(dense, samples)
    first, seen, targets = 0, [], []
    others = [aim.shortcut] if aim.shortcut is not None else []
    ideal = run_tensors(dense, [aim.raw, *others], feed, size)
    actual = run_tensors(pruned, [source, *others], feed, size)
    for wanted, now in zip(ideal, actual, strict=True):
        target = wanted[aim.raw]
        if aim.shortcut is not None:
            target = target + (wanted[aim.shortcut] - now[aim.shortcut])
        sample, position = Patches(layer, samples).pairs(first, len(target))
        seen.append(layer.inputs_at(now[source], sample, position))
        targets.append(layer.outputs_at(target, sample, position))
        first += len(target)
    return Fit(np.concatenate(seen), np.concatenate(targets))
