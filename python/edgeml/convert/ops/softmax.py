# SPDX-License-Identifier: Apache-2.0
"""softmax along axis 1 or the last one: a table of 2^23*exp(-S*d), d = 0..255; float32 out at a graph output, else s8 with scale 1/256."""

from __future__ import annotations

from typing import Final

import numpy as np

from edgeml.convert.float_node import normal_axis, unsupported
from edgeml.convert.ops.rule import OperatorRule, OutputRange
from edgeml.convert.quantizer import Quantizer
from edgeml.ir import Graph, Node, QuantParams

OUTPUT_QUANT: Final = QuantParams(2.0**-8, -128)


def check(node: Node, graph: Graph) -> None:
    """Axis 1 or the last one; lower_softmax has brought the likes of [N, C, 1, 1] into the form [N, C]."""
    rank = len(graph.tensors[node.inputs[0]].shape)
    if normal_axis(node.attributes.get("axis", -1), rank) not in (1, rank - 1):
        raise unsupported(node, graph, "works along an inner axis", "use a softmax along axis 1 or the last axis")


def quantize(node: Node, quantizer: Quantizer) -> None:
    """Emit one softmax along axis 1, between transposes if need be; a rescale follows where the output took another scale."""
    graph = quantizer.graph
    shape = graph.tensors[node.output].shape
    last = normal_axis(node.attributes.get("axis", -1), len(shape)) == len(shape) - 1 != 1
    scale = quantizer.quant(node.inputs[0]).scale
    table = np.rint(2.0**23 * np.exp(-scale * np.arange(256))).astype(np.uint32)
    source = quantizer.channels_first(node.inputs[0]) if last else quantizer.s8(node.inputs[0])
    inputs = [source, quantizer.constant(f"{node.name}/table", table)]
    if quantizer.is_float_output(node) and not last:
        quantizer.emit_float("softmax", node, inputs)
        return
    wanted = quantizer.quant(node.output)
    if wanted == OUTPUT_QUANT:
        if last:
            quantizer.emit_channels_first("softmax", node, inputs, {})
        else:
            quantizer.emit("softmax", node, inputs)
        return
    moved = (shape[0], shape[-1], *shape[1:-1]) if last else shape
    shares = quantizer.activation(f"{node.output}/shares", moved, OUTPUT_QUANT)
    quantizer.emit_internal("softmax", f"{node.name}/softmax", inputs, shares)
    multiplier = quantizer.multiplier(node, [OUTPUT_QUANT.scale / wanted.scale])
    bounds = {"act_min": -128, "act_max": 127}
    if last:
        quantizer.emit_channels_first("rescale", node, [shares, multiplier], bounds)
    else:
        quantizer.emit("rescale", node, [shares, multiplier], bounds)


RULE = OperatorRule(("Softmax",), OutputRange.FIXED, check, quantize)
