# SPDX-License-Identifier: Apache-2.0
"""The telemetry schema from calibration (docs/design/wire.md, section 1): which features, their bins, their reference counts.

The reference counts are what `edgeml.observe.Observer` counts over the calibration inputs and the artifact's own outputs, so the
definition of a feature stands in one place.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgeml import _core
from edgeml.ir import Graph
from edgeml.observe.observer import Observer
from edgeml.observe.schema import (
    KINDS_WITH_INDEX,
    LATENCY_EDGES,
    OUTSIDE_SLOTS,
    VALUE_ELEMENTS_MAX,
    Feature,
    TelemetrySchema,
)

Array = npt.NDArray[Any]
BINS_MAX: Final = 16
CHANNELS_MAX: Final = 16  # of an input; more are thinned out evenly, because every feature adds to the noise of all


def build_schema(graph: Graph, inputs: Mapping[str, Array], outputs: Mapping[str, Array]) -> TelemetrySchema:
    """The schema of a model.

    graph: the float graph after the passes, which says what the outputs are. inputs and outputs: float32 arrays of all
    calibration samples by name; outputs are the artifact's.
    """
    samples = len(next(iter(inputs.values())))
    latency = Feature(
        name="latency_us",
        source="latency",
        tensor="",
        kind="latency_us",
        edges=LATENCY_EDGES,
        reference=(0,) * (len(LATENCY_EDGES) + 2),
    )
    features = [
        *(feature for name in graph.inputs for feature in _input_features(name, inputs[name])),
        *(feature for name in graph.outputs for feature in _output_features(graph, name, outputs[name])),
    ]
    counted = TelemetrySchema(samples=0, features=(*features, latency))
    observer = Observer(counted)
    observer.observe(inputs, outputs, 1.0)
    counts = _core.reference_counts(observer.take())
    referenced = [
        _with_reference(feature, counts[begin : begin + feature.slot_count])
        for feature, begin in zip(features, counted.offsets, strict=False)
    ]
    return TelemetrySchema(samples=samples, features=(*referenced, latency))


def _with_reference(feature: Feature, counts: Array) -> Feature:
    return dataclasses.replace(feature, reference=tuple(int(n) for n in counts))


def _input_features(name: str, values: Array) -> Iterator[Feature]:
    # Images and audio are counted per channel however small they are: every feature costs noise (wire.md, section 2)
    # and one pixel says little. The columns of a table are values.
    flat = values.reshape(len(values), -1)
    if values.ndim <= 2 and flat.shape[1] <= VALUE_ELEMENTS_MAX:
        yield from _value_features(name, "input", flat)
        return
    channels = values.reshape(len(values), values.shape[1], -1)
    count = channels.shape[1]
    for index in np.unique(np.linspace(0, count - 1, min(count, CHANNELS_MAX)).round().astype(int)):
        channel = channels[:, index].astype(np.float64)
        yield _feature("input", name, "channel_mean", channel.mean(axis=1), int(index))
        if channel.shape[1] > 1:
            yield _feature("input", name, "channel_std", channel.std(axis=1), int(index))
            yield _clipped_feature(name, channel, int(index))


def _clipped_feature(name: str, channel: Array, index: int) -> Feature:
    low, high = float(channel.min()), float(channel.max())
    share = ((channel <= low) | (channel >= high)).mean(axis=1)
    return dataclasses.replace(_feature("input", name, "channel_clipped", share, index), lo=low, hi=high)


def _value_features(name: str, source: str, flat: Array) -> Iterator[Feature]:
    for index in range(flat.shape[1]):
        yield _feature(source, name, "value", flat[:, index], index)


def _output_features(graph: Graph, name: str, values: Array) -> Iterator[Feature]:
    producer = graph.producer(name)
    flat = values.reshape(len(values), -1)
    if producer is not None and producer.op == "Softmax" and flat.shape[1] >= 2:
        ranked = np.sort(flat.astype(np.float64), axis=1)
        entropy = -np.sum(np.where(flat > 0, flat * np.log(np.maximum(flat, 1e-45, dtype=np.float64)), 0.0), axis=1)
        yield _class_feature(name, flat)
        yield _feature("output", name, "confidence", ranked[:, -1])
        yield _feature("output", name, "margin", ranked[:, -1] - ranked[:, -2])
        yield _feature("output", name, "entropy", entropy)
    elif flat.shape[1] <= VALUE_ELEMENTS_MAX:
        yield from _value_features(name, "output", flat)


def _class_feature(name: str, flat: Array) -> Feature:
    """One bin per class where that is few enough, else bins of neighbouring classes."""
    classes = flat.shape[1]
    edges = np.unique(np.round(np.linspace(0, classes, min(classes, BINS_MAX) + 1))) - 0.5
    return _binned("output", name, "class", 0, edges)


def _feature(source: str, tensor: str, kind: str, values: Array, index: int = 0) -> Feature:
    """A feature with bins from its values in the calibration samples; its reference counts are still zero."""
    return _binned(source, tensor, kind, index, bin_edges(values))


def _binned(source: str, tensor: str, kind: str, index: int, edges: Array) -> Feature:
    title = f"{tensor}/{kind}[{index}]" if kind in KINDS_WITH_INDEX else f"{tensor}/{kind}"
    exact = tuple(float(edge) for edge in edges)
    zeros = (0,) * (len(edges) - 1 + OUTSIDE_SLOTS)
    bounds = (0.0, 0.0) if kind == "channel_clipped" else (None, None)  # the caller sets those of channel_clipped
    return Feature(
        name=title,
        source=source,
        tensor=tensor,
        kind=kind,
        index=index,
        edges=exact,
        reference=zeros,
        lo=bounds[0],
        hi=bounds[1],
    )


def bin_edges(values: Array) -> npt.NDArray[np.float32]:
    """Edges of at most 16 bins, float32, strictly ascending.

    Few distinct values (flags, counts, a constant) get a bin each, with edges half-way to their neighbours; others get bins of
    equal shares of the calibration samples, from the smallest to the largest.
    """
    distinct = np.unique(values.astype(np.float32)).astype(np.float64)
    if len(distinct) <= BINS_MAX:
        gaps = np.diff(distinct) if len(distinct) > 1 else np.array([2 * max(1.0, abs(distinct[0])) * 2.0**-10])
        middles = distinct[:-1] + gaps / 2 if len(distinct) > 1 else distinct[:0]
        edges = np.concatenate([[distinct[0] - gaps[0] / 2], middles, [distinct[-1] + gaps[-1] / 2]])
    else:
        edges = np.quantile(values.astype(np.float32).astype(np.float64), np.linspace(0, 1, BINS_MAX + 1))
    largest = float(np.finfo(np.float32).max)
    return _ascending(np.clip(edges, -largest, largest).astype(np.float32))


def _ascending(edges: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Without repeats; two edges at least."""
    unique = np.unique(edges)
    if len(unique) > 1:
        return unique
    return np.array(
        [np.nextafter(unique[0], np.float32(-np.inf)), np.nextafter(unique[0], np.float32(np.inf))], np.float32
    )
