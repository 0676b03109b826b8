# SPDX-License-Identifier: Apache-2.0
"""softmax over [N, C]: a table of 2^23*exp(-S*d), d = 0..255; float32 out at a graph output, else s8 with scale 1/256."""

from __future__ import annotations

from typing import Final

import numpy as np

from edgeml.convert.float_node import normal_axis, unsupported
from edgeml.convert.ops.rule import OperatorRule, OutputRange
from edgeml.convert.quantizer import Quantizer
from edgeml.ir import Graph, Node, QuantParams

OUTPUT_QUANT: Final = QuantParams(2.0**-8, -128)


def check(node: Node, graph: Graph) -> None:
    """Axis 1 of [N, C]; lower_softmax has brought the likes of [N, C, 1, 1] into that form."""
    shape = graph.tensors[node.inputs[0]].shape
    if len(shape) != 2 or normal_axis(node.attributes.get("axis", -1), 2) != 1:
        raise unsupported(
            node, graph, f"works on {shape} with many rows per sample", "only one softmax over [N, C] is supported"
        )


def quantize(node: Node, quantizer: Quantizer) -> None:
    """Emit one softmax; where the output had to take another scale, a rescale follows."""
    scale = quantizer.quant(node.inputs[0]).scale
    table = np.rint(2.0**23 * np.exp(-scale * np.arange(256))).astype(np.uint32)
    inputs = [quantizer.s8(node.inputs[0]), quantizer.constant(f"{node.name}/table", table)]
    if quantizer.is_float_output(node):
        quantizer.emit_float("softmax", node, inputs)
        return
    wanted = quantizer.quant(node.output)
    if wanted == OUTPUT_QUANT:
        quantizer.emit("softmax", node, inputs)
        return
    shares = quantizer.activation(f"{node.output}/shares", quantizer.graph.tensors[node.output].shape, OUTPUT_QUANT)
    quantizer.emit_internal("softmax", f"{node.name}/softmax", inputs, shares)
    multiplier = quantizer.multiplier(node, [OUTPUT_QUANT.scale / wanted.scale])
    quantizer.emit("rescale", node, [shares, multiplier], {"act_min": -128, "act_max": 127})


RULE = OperatorRule(("Softmax",), OutputRange.FIXED, check, quantize)
