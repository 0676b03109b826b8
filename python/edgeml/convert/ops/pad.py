# SPDX-License-Identifier: Apache-2.0
"""pad: Pad with a constant along any axis but the batch."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from edgeml.convert.float_node import normal_axis, unsupported
from edgeml.convert.ops.rule import OperatorRule, OutputRange
from edgeml.convert.quantizer import Quantizer
from edgeml.ir import Graph, Node


class Pads(NamedTuple):
    """Elements added before and after each axis, and the real value that they have."""

    begin: tuple[int, ...]
    end: tuple[int, ...]
    value: float


def pads_of(node: Node, graph: Graph) -> Pads | None:
    """The pads of a Pad node in constant mode; None where they are not constants or the mode is another."""
    pads = graph.constant(node.inputs[1])
    if pads is None or node.attributes.get("mode", "constant") != "constant":
        return None
    value_name = node.inputs[2] if len(node.inputs) > 2 else ""
    axes_name = node.inputs[3] if len(node.inputs) > 3 else ""
    value = graph.constant(value_name) if value_name else np.zeros(())
    rank = len(graph.tensors[node.inputs[0]].shape)
    axes = graph.constant(axes_name) if axes_name else np.arange(rank)
    if value is None or axes is None:
        return None
    begin, end = [0] * rank, [0] * rank
    for i, axis in enumerate(axes):
        begin[normal_axis(int(axis), rank)] = int(pads[i])
        end[normal_axis(int(axis), rank)] = int(pads[len(axes) + i])
    return Pads(tuple(begin), tuple(end), float(value.reshape(-1)[0]))


def check(node: Node, graph: Graph) -> None:
    """Constant, finite, not negative, not the batch."""
    pads = pads_of(node, graph)
    if pads is None:
        raise unsupported(node, graph, "is not a constant padding", "use mode='constant' with constant pads")
    if pads.begin[0] or pads.end[0] or min(*pads.begin, *pads.end) < 0 or not np.isfinite(pads.value):
        raise unsupported(
            node, graph, f"has {pads}", "pad other axes than the batch, by finite values, without cropping"
        )


def quantize(node: Node, quantizer: Quantizer) -> None:
    """Emit one pad; the value is in the range, because calibration includes it."""
    pads = pads_of(node, quantizer.graph)
    assert pads is not None  # noqa: S101 (checked)
    quant = quantizer.quant(node.output)
    value = int(np.clip(np.rint(pads.value / quant.scale) + quant.zero_point, -128, 127))
    attributes = {}
    for word, values in (("begin", pads.begin), ("end", pads.end)):
        attributes.update({f"{word}[{axis}]": values[axis] if axis < len(values) else 0 for axis in range(8)})
    quantizer.emit("pad", node, [quantizer.s8(node.inputs[0])], {**attributes, "value": value})


RULE = OperatorRule(("Pad",), OutputRange.SAME_AS_INPUT, check, quantize)
