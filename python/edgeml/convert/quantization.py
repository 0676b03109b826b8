# SPDX-License-Identifier: Apache-2.0
"""Float graph and statistics -> quantized graph: chooses scales, then lets each operator's rule emit its nodes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from edgeml.convert.calibration import CalibrationData, Statistics
from edgeml.convert.layout import sink_transposes
from edgeml.convert.ops import FLOAT_OPERATOR, rule_of
from edgeml.convert.options import ConvertOptions
from edgeml.convert.progress import progress
from edgeml.convert.propagation import Propagation
from edgeml.convert.quantizer import Quantizer
from edgeml.convert.ranges import choose_quantization
from edgeml.convert.stored import Stored
from edgeml.ir import Graph, QuantParams, verify


def quantize(
    graph: Graph, statistics: Mapping[str, Statistics], data: CalibrationData, options: ConvertOptions
) -> Graph:
    """The quantized graph.

    Raises:
        ConversionError: a layer whose numbers do not fit the artifact's rules; the message names it.
    """
    means = {name: one.channel_mean for name, one in statistics.items()}
    last_axis_means = {name: one.last_axis_mean for name, one in statistics.items()}
    quantizer = Quantizer(graph, choose_quantization(graph, statistics, options), means, last_axis_means, options)
    propagation = Propagation(quantizer, data) if options.rounding_method != "nearest" else None
    quantizer.moments_of = None if propagation is None else propagation.moments
    return _emit(graph, quantizer, propagation)


def quantize_stored(
    graph: Graph, quant: Mapping[str, QuantParams], stored: Stored, options: ConvertOptions
) -> Requantized:
    """The quantized graph of a model that carries its quantization. Raises ConversionError as `quantize` does."""
    quantizer = Quantizer(graph, quant, {}, {}, options)
    quantizer.keep_stored(stored)
    return Requantized(_emit(graph, quantizer, None), tuple(quantizer.requantized_layers))


class Requantized(NamedTuple):
    """A graph, and the names of layers whose stored integers the artifact cannot hold, so that they were rounded again."""

    graph: Graph
    layers: tuple[str, ...]


def _emit(graph: Graph, quantizer: Quantizer, propagation: Propagation | None) -> Graph:
    with progress("quantizing", len(graph.nodes)) as advance:
        for node in graph.nodes:
            if node.op != FLOAT_OPERATOR:
                for name in node.inputs:
                    quantizer.make_s8(name)
            rule_of(node).quantize(node, quantizer)
            if propagation is not None:
                propagation.follow(node)
            advance(1)
    quantized = sink_transposes(quantizer.finish())
    verify(quantized)
    return quantized
