# SPDX-License-Identifier: Apache-2.0
"""Float graph and statistics -> quantized graph: chooses scales, then lets each operator's rule emit its nodes."""

from __future__ import annotations

from collections.abc import Mapping

from edgeml.convert.calibration import Statistics
from edgeml.convert.layout import sink_transposes
from edgeml.convert.ops import FLOAT_OPERATOR, rule_of
from edgeml.convert.options import ConvertOptions
from edgeml.convert.quantizer import Quantizer
from edgeml.convert.ranges import choose_quantization
from edgeml.ir import Graph, verify


def quantize(graph: Graph, statistics: Mapping[str, Statistics], options: ConvertOptions) -> Graph:
    """The quantized graph.

    Raises:
        ConversionError: a layer whose numbers do not fit the artifact's rules; the message names it.
    """
    means = {name: one.channel_mean for name, one in statistics.items()}
    last_axis_means = {name: one.last_axis_mean for name, one in statistics.items()}
    quantizer = Quantizer(graph, choose_quantization(graph, statistics, options), means, last_axis_means, options)
    for node in graph.nodes:
        if node.op != FLOAT_OPERATOR:
            for name in node.inputs:
                quantizer.make_s8(name)
        rule_of(node).quantize(node, quantizer)
    quantized = sink_transposes(quantizer.finish())
    verify(quantized)
    return quantized
