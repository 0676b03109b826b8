# SPDX-License-Identifier: Apache-2.0
"""fully_connected: Gemm in the form of passes/lower_gemm.py, x [N, K], w [M, K], b [M], and Linear over tokens [N, ..., K]."""

from __future__ import annotations

import numpy as np

from edgeml.convert.float_node import unsupported
from edgeml.convert.ops.rule import OperatorRule, OutputRange
from edgeml.convert.quantizer import Quantizer
from edgeml.convert.weights import layer_constants
from edgeml.ir import Graph, Node


def check(node: Node, graph: Graph) -> None:
    """lower_gemm has brought everything that can be converted into one form."""
    if node.op == "Linear":
        return
    if dict(node.attributes) != {"transB": 1} or graph.constant(node.inputs[1]) is None:
        way_out = "only [N, K] times constant weights is supported: flatten the input and export constant weights"
        raise unsupported(node, graph, "is not a fully connected layer", way_out)


def quantize(node: Node, quantizer: Quantizer) -> None:
    """Weights keep their layout [M, K]."""
    weights = np.asarray(quantizer.graph.constant(node.inputs[1]))
    means = quantizer.last_axis_mean(node.inputs[0])
    result, bias, multiplier = layer_constants(node, quantizer, weights, None if means is None else means[None, :])
    w = quantizer.constant(f"{node.name}/weights_s8", result.w)
    inputs = [quantizer.channels_first(node.inputs[0]), w, bias, multiplier]
    quantizer.emit_channels_first("fully_connected", node, inputs, quantizer.act_bounds(node))


RULE = OperatorRule(("Gemm", "Linear"), OutputRange.OWN, check, quantize)
