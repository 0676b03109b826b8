# SPDX-License-Identifier: Apache-2.0
"""From statistics to scale and zero point: min-max, percentile and mean-squared-error ranges, and tensors that must share one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from edgeml.convert.calibration import HISTOGRAM_BINS, Statistics
from edgeml.convert.ops import OutputRange, rule_of
from edgeml.convert.ops.pad import pads_of
from edgeml.convert.ops.softmax import OUTPUT_QUANT
from edgeml.convert.options import ConvertOptions
from edgeml.convert.quantizer import sets_unread_output
from edgeml.ir import Graph, Node, QuantParams

Array = npt.NDArray[Any]
LEVELS: Final = 255  # steps between -128 and 127
MSE_STEPS: Final = 40  # candidates for each end of a range
MSE_SHRINK_MAX: Final = 0.8  # the largest part of an end that is cut off


class Range(NamedTuple):
    """The real interval that 8 bits cover; contains 0."""

    low: float
    high: float

    def hull(self, other: Range) -> Range:
        """The smallest range that contains both."""
        return Range(min(self.low, other.low), max(self.high, other.high))


def choose_quantization(
    graph: Graph, statistics: Mapping[str, Statistics], options: ConvertOptions
) -> dict[str, QuantParams]:
    """Scale and zero point of every activation of a float graph, by name."""
    shared = _SharedRanges(graph, options)
    ranges: dict[str, Range] = {}
    fixed: set[str] = set()
    for name, one in statistics.items():
        root = shared.root(name)
        producer = graph.producer(name)
        rule = None if producer is None else rule_of(producer).output_range
        if producer is not None and shared.joins(producer):
            continue  # what it holds comes from its inputs, whose ranges count
        found = range_of(one, options)
        if rule is OutputRange.FIXED:
            found = Range(0.0, 1.0)
            fixed.add(root)
        ranges[root] = found.hull(ranges[root]) if root in ranges else found
    for node in graph.nodes:
        pads = pads_of(node, graph) if node.op == "Pad" else None
        if pads is not None:
            root = shared.root(node.output)
            ranges[root] = ranges[root].hull(Range(min(pads.value, 0.0), max(pads.value, 0.0)))
    quant = {
        root: OUTPUT_QUANT if root in fixed and found == (0.0, 1.0) else params_of(found)
        for root, found in ranges.items()
    }
    return {name: quant[shared.root(name)] for name in statistics}


class _SharedRanges:
    """Groups of activations that must have one scale: operators that only move bytes join input and output."""

    def __init__(self, graph: Graph, options: ConvertOptions) -> None:
        self._graph, self._options = graph, options
        self._parent: dict[str, str] = {}
        for node in graph.nodes:
            if self.joins(node):
                for name in node.inputs:
                    if name and graph.constant(name) is None:
                        self._parent[self.root(name)] = self.root(node.output)

    def joins(self, node: Node) -> bool:
        """Whether inputs and output of a node share a scale; parts of a float32 graph output are joined as float32."""
        if node.op == "Concat" and self._options.io == "float32" and sets_unread_output(node, self._graph):
            return False
        return rule_of(node).output_range is OutputRange.SAME_AS_INPUT

    def root(self, name: str) -> str:
        while name in self._parent and self._parent[name] != name:
            name = self._parent[name]
        return name


def params_of(found: Range) -> QuantParams:
    """Scale and zero point that cover a range; 0 is exact (numerics.md, section 1)."""
    smallest = float(np.finfo(np.float32).tiny)
    scale = max(float(np.float32((found.high - found.low) / LEVELS)), smallest)
    zero_point = int(np.clip(np.rint(-128 - found.low / scale), -128, 127))
    return QuantParams(scale, zero_point)


def range_of(one: Statistics, options: ConvertOptions) -> Range:
    """The range of one activation by the method of the options."""
    whole = Range(min(one.low, 0.0), max(one.high, 0.0))
    if whole.low == whole.high:
        return Range(0.0, 1.0)  # always 0: any scale is exact
    if one.low == one.high or options.range_method == "minmax":
        return whole
    if options.range_method == "percentile":
        return _percentile(one, whole, options.percentile)
    return _least_squares(one, whole)


def _edges(one: Statistics) -> Array:
    return np.linspace(one.low, one.high, HISTOGRAM_BINS + 1)


def _percentile(one: Statistics, whole: Range, percentile: float) -> Range:
    """Each end, apart: the value below (above) which `percentile` percent of all elements lie."""
    share = np.cumsum(one.histogram) / one.histogram.sum()
    cut = percentile / 100
    edges = _edges(one)
    high = float(edges[1 + int(np.searchsorted(share, cut))]) if cut < 1 else one.high
    low = float(edges[int(np.searchsorted(share, 1 - cut, side="right"))]) if cut < 1 else one.low
    found = Range(min(low, 0.0), max(high, 0.0))
    return found if found.low < found.high else whole


def _least_squares(one: Statistics, whole: Range) -> Range:
    """Of a grid of shrunk ranges, the one with the least squared error of rounding and clipping over the histogram."""
    edges = _edges(one)
    centres, counts = (edges[:-1] + edges[1:]) / 2, one.histogram.astype(np.float64)
    used = counts > 0
    centres, counts = centres[used], counts[used]
    shrinks = 1 - np.linspace(0, MSE_SHRINK_MAX, MSE_STEPS)
    best, least = whole, np.inf
    for low in whole.low * shrinks if whole.low < 0 else [0.0]:
        highs = whole.high * shrinks if whole.high > 0 else np.array([0.0])
        scale = (highs - low)[:, None] / LEVELS
        with np.errstate(invalid="ignore", divide="ignore"):
            zero = np.rint(-128 - low / scale)
            q = np.clip(np.rint(centres / scale) + zero, -128, 127)
            errors = (((q - zero) * scale - centres) ** 2 * counts).sum(axis=1)
        errors[~np.isfinite(errors)] = np.inf
        index = int(np.argmin(errors))
        if errors[index] < least:
            best, least = Range(float(low), float(highs[index])), float(errors[index])
    return best
