# SPDX-License-Identifier: Apache-2.0
"""layer_norm: LayerNormalization over the last axis; gain = gamma / S_y, shift = beta / S_y, epsilon / S_x^2."""

from __future__ import annotations

import numpy as np

from edgeml.convert.float_node import normal_axis, unsupported
from edgeml.convert.ops.rule import OperatorRule, OutputRange
from edgeml.convert.quantizer import Quantizer
from edgeml.ir import Graph, Node

GAIN_MAX = 2.0**15
SHIFT_MAX = 2.0**29
CHANNELS_MAX = 16384


def check(node: Node, graph: Graph) -> None:
    """The last axis only, constant scale and bias, no second output."""
    shape = graph.tensors[node.inputs[0]].shape
    constants = all(not name or graph.constant(name) is not None for name in node.inputs[1:])
    if normal_axis(node.attributes.get("axis", -1), len(shape)) != len(shape) - 1 or not constants:
        raise unsupported(node, graph, "normalizes several axes or by computed values", "normalize the last axis")
    if len(shape) < 2 or shape[-1] > CHANNELS_MAX or any(node.outputs[1:]):
        raise unsupported(node, graph, f"normalizes {shape} or has further outputs", f"use 1..{CHANNELS_MAX} channels")


def quantize(node: Node, quantizer: Quantizer) -> None:
    """Emit transpose, layer_norm, transpose."""
    graph = quantizer.graph
    x, y = quantizer.quant(node.inputs[0]), quantizer.quant(node.output)
    gamma = np.asarray(graph.constant(node.inputs[1]), np.float64).reshape(-1)
    bias = graph.constant(node.inputs[2]) if len(node.inputs) > 2 and node.inputs[2] else None
    beta = np.zeros_like(gamma) if bias is None else bias.astype(np.float64).reshape(-1)
    gain = np.clip(gamma / y.scale, -GAIN_MAX, GAIN_MAX).astype(np.float32)
    shift = np.clip(beta / y.scale, -SHIFT_MAX, SHIFT_MAX).astype(np.float32)
    smallest = float(np.finfo(np.float32).tiny)
    epsilon = np.float32(np.clip(node.attributes.get("epsilon", 1e-5) / x.scale**2, smallest, SHIFT_MAX))
    constants = [
        quantizer.constant(f"{node.name}/{what}", data)
        for what, data in (("gain", gain), ("shift", shift), ("epsilon", np.array([epsilon], np.float32)))
    ]
    inputs = [quantizer.channels_first(node.inputs[0]), *constants]
    quantizer.emit_channels_first("layer_norm", node, inputs, quantizer.act_bounds(node))


RULE = OperatorRule(("LayerNormalization",), OutputRange.OWN, check, quantize)
