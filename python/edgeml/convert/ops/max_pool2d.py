# SPDX-License-Identifier: Apache-2.0
"""max_pool2d: MaxPool over [N, C, H, W]; a choice among bytes, so the output keeps the input's scale."""

from __future__ import annotations

from edgeml.convert.float_node import unsupported, window_of
from edgeml.convert.ops.conv2d import window_attributes
from edgeml.convert.ops.rule import OperatorRule, OutputRange
from edgeml.convert.quantizer import Quantizer
from edgeml.ir import Graph, Node


def check(node: Node, graph: Graph) -> None:
    """No indices output; pads smaller than the window."""
    if len([name for name in node.outputs if name]) > 1:
        raise unsupported(node, graph, "has an output of indices", "drop that output")
    window = window_of(node, graph)
    if min(window.pads) < 0 or any(pad >= window.kernel[i % 2] for i, pad in enumerate(window.pads)):
        raise unsupported(
            node, graph, f"has pads {window.pads} for a window of {window.kernel}", "use pads below the window"
        )


def quantize(node: Node, quantizer: Quantizer) -> None:
    """Emit one max_pool2d."""
    window = window_of(node, quantizer.graph)
    attributes = {"kernel_h": window.kernel[0], "kernel_w": window.kernel[1], **window_attributes(window)}
    quantizer.emit("max_pool2d", node, [quantizer.s8(node.inputs[0])], attributes)


RULE = OperatorRule(("MaxPool", "GlobalMaxPool"), OutputRange.SAME_AS_INPUT, check, quantize)
