# SPDX-License-Identifier: Apache-2.0
"""average_pool2d: AveragePool over [N, C, H, W]; one multiplier S_x / (n*S_y) for each count n of taps inside the input."""

from __future__ import annotations

from edgeml.convert.float_node import unsupported, window_of
from edgeml.convert.ops.conv2d import window_attributes
from edgeml.convert.ops.rule import OperatorRule, OutputRange
from edgeml.convert.quantizer import Quantizer
from edgeml.ir import Graph, Node


def check(node: Node, graph: Graph) -> None:
    """No dilation; pads smaller than the window; counted pads without ceil_mode (where ONNX itself is ambiguous)."""
    if node.op != "AveragePool":
        raise unsupported(
            node, graph, "averages other axes than height and width", "pool over axes 2 and 3 of [N, C, H, W]"
        )
    window = window_of(node, graph)
    if window.dilations != (1, 1):
        raise unsupported(node, graph, f"has dilations {window.dilations}", "use dilations of 1")
    if min(window.pads) < 0 or any(pad >= window.kernel[i % 2] for i, pad in enumerate(window.pads)):
        raise unsupported(
            node, graph, f"has pads {window.pads} for a window of {window.kernel}", "use pads below the window"
        )
    if node.attributes.get("count_include_pad", 0) and node.attributes.get("ceil_mode", 0):
        raise unsupported(node, graph, "counts pads and rounds up", "use ceil_mode=0 or count_include_pad=0")


def quantize(node: Node, quantizer: Quantizer) -> None:
    """Emit one average_pool2d."""
    window = window_of(node, quantizer.graph)
    taps = window.kernel[0] * window.kernel[1]
    x, y = quantizer.quant(node.inputs[0]).scale, quantizer.quant(node.output).scale
    counted = node.attributes.get("count_include_pad", 0)
    multiplier = quantizer.multiplier(node, [x / ((taps if counted else n) * y) for n in range(1, taps + 1)])
    attributes = {"kernel_h": window.kernel[0], "kernel_w": window.kernel[1], **window_attributes(window)}
    del attributes["dilation_h"], attributes["dilation_w"]
    inputs = [quantizer.s8(node.inputs[0]), multiplier]
    quantizer.emit("average_pool2d", node, inputs, {**attributes, **quantizer.act_bounds(node)})


RULE = OperatorRule(("AveragePool", "GlobalAveragePool", "ReduceMean"), OutputRange.OWN, check, quantize)
