# SPDX-License-Identifier: Apache-2.0
"""conv2d: Conv over [N, C, H, W] with any window, stride, dilation, pads and groups; depthwise goes to its own operator."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from edgeml.convert.float_node import Window, unsupported, window_of
from edgeml.convert.ops import depthwise_conv2d
from edgeml.convert.ops.rule import OperatorRule, OutputRange
from edgeml.convert.quantizer import Quantizer
from edgeml.convert.weights import layer_constants
from edgeml.ir import Graph, Node


def check(node: Node, graph: Graph) -> None:
    """Weights and bias are constant; pads are smaller than the window."""
    if any(name and graph.constant(name) is None for name in node.inputs[1:]):
        raise unsupported(node, graph, "has weights that are computed at run time", "export constant weights")
    window = window_of(node, graph)
    extents = [(k - 1) * d + 1 for k, d in zip(window.kernel, window.dilations, strict=True)]
    if min(window.pads) < 0 or any(pad >= extents[i % 2] for i, pad in enumerate(window.pads)):
        raise unsupported(node, graph, f"has pads {window.pads} for a window of {extents}", "use pads below the window")


def window_attributes(window: Window) -> dict[str, int]:
    """Strides, dilations and pads by their names in the artifact."""
    (stride_h, stride_w), (dilation_h, dilation_w) = window.strides, window.dilations
    pads = dict(zip(("pad_top", "pad_left", "pad_bottom", "pad_right"), window.pads, strict=True))
    return {"stride_h": stride_h, "stride_w": stride_w, "dilation_h": dilation_h, "dilation_w": dilation_w, **pads}


def quantize(node: Node, quantizer: Quantizer) -> None:
    """Weights [O, C/groups, kh, kw] become s8 [O, kh, kw, C/groups], or [kh, kw, C] where every channel is a group."""
    graph = quantizer.graph
    weights: npt.NDArray[Any] = np.asarray(graph.constant(node.inputs[1]))
    out_channels, group_channels, kernel_h, kernel_w = weights.shape
    groups = int(node.attributes.get("group", 1))
    rows = weights.transpose(0, 2, 3, 1).reshape(out_channels, -1)
    result, bias, multiplier = layer_constants(node, quantizer, rows, _means(node, quantizer, groups, weights.shape))
    attributes = window_attributes(window_of(node, graph))
    if group_channels == 1 and out_channels == groups:
        w = depthwise_conv2d.layout(result.w, kernel_h, kernel_w)
        op = "depthwise_conv2d"
    else:
        w = result.w.reshape(out_channels, kernel_h, kernel_w, group_channels)
        op, attributes = "conv2d", {**attributes, "groups": groups}
    inputs = [quantizer.s8(node.inputs[0]), quantizer.constant(f"{node.name}/weights_s8", w), bias, multiplier]
    quantizer.emit(op, node, inputs, {**attributes, **quantizer.act_bounds(node)})


def _means(node: Node, quantizer: Quantizer, groups: int, shape: tuple[int, ...]) -> npt.NDArray[Any] | None:
    """Mean of the input channel under each weight of [O, kh, kw, C/groups], flat per O; borders are taken as inside."""
    means = quantizer.channel_means.get(node.inputs[0])
    if means is None:
        return None
    out_channels, group_channels, kernel_h, kernel_w = shape
    per_group = np.repeat(means.reshape(groups, group_channels), out_channels // groups, axis=0)
    return np.tile(per_group, (1, kernel_h * kernel_w))


RULE = OperatorRule(("Conv",), OutputRange.OWN, check, quantize)
