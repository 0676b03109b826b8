# SPDX-License-Identifier: Apache-2.0
"""slice: Slice with constant starts, ends and positive steps along any axis but the batch."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from edgeml.convert.float_node import normal_axis, unsupported
from edgeml.convert.ops.rule import OperatorRule, OutputRange
from edgeml.convert.quantizer import Quantizer
from edgeml.ir import Graph, Node


class Cut(NamedTuple):
    """First element and step per axis; the extents are the output's shape."""

    start: tuple[int, ...]
    step: tuple[int, ...]


def _cut(node: Node, graph: Graph) -> Cut | None:
    constants = [graph.constant(name) if name else None for name in node.inputs[1:]]
    if any(name and c is None for name, c in zip(node.inputs[1:], constants, strict=True)) or len(constants) < 2:
        return None
    shape = graph.tensors[node.inputs[0]].shape
    rank = len(shape)
    starts = np.asarray(constants[0]).ravel()
    axes = constants[2] if len(constants) > 2 and constants[2] is not None else np.arange(len(starts))
    steps = constants[3] if len(constants) > 3 and constants[3] is not None else np.ones(len(starts), np.int64)
    start, step = [0] * rank, [1] * rank
    for value, axis_value, stride in zip(starts, axes.ravel(), steps.ravel(), strict=True):
        axis = normal_axis(int(axis_value), rank)
        size = shape[axis]
        first = int(value) + size if value < 0 else int(value)
        start[axis], step[axis] = min(max(first, 0), size), int(stride)
    return Cut(tuple(start), tuple(step))


def check(node: Node, graph: Graph) -> None:
    """Constant bounds, steps >= 1, an output that is not empty, the batch untouched."""
    cut = _cut(node, graph)
    if cut is None:
        raise unsupported(node, graph, "has bounds that are computed at run time", "export constant bounds")
    source, target = graph.tensors[node.inputs[0]].shape, graph.tensors[node.output].shape
    if cut.start[0] or cut.step[0] != 1 or source[0] != target[0] or min(cut.step) < 1 or 0 in target[1:]:
        raise unsupported(
            node, graph, f"has {cut}", "cut other axes than the batch, forwards, into something not empty"
        )


def quantize(node: Node, quantizer: Quantizer) -> None:
    """Emit one slice."""
    cut = _cut(node, quantizer.graph)
    assert cut is not None  # noqa: S101 (checked)
    attributes = {}
    for word, values, filler in (("start", cut.start, 0), ("step", cut.step, 1)):
        attributes.update({f"{word}[{axis}]": values[axis] if axis < len(values) else filler for axis in range(8)})
    quantizer.emit("slice", node, [quantizer.s8(node.inputs[0])], attributes)


RULE = OperatorRule(("Slice",), OutputRange.SAME_AS_INPUT, check, quantize)
