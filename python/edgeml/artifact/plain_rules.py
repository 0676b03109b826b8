# SPDX-License-Identifier: Apache-2.0
"""Section 5.2 of the artifact format: what plain operators ask of their tensors and attributes, one function for each."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import numpy as np

from edgeml.artifact.elementwise import (
    BINARY,
    COMPARISONS,
    FLOAT_UNARY,
    INTEGER_ONLY_BINARY,
    INTEGER_UNARY,
    REDUCE,
    SCATTER,
    UNARY,
)
from edgeml.artifact.model import Graph, Node, Tensor
from edgeml.errors import ArtifactError

BOX_ATTRIBUTES: Final = 9  # offset, step[8]
INT32_MAX: Final = 2**31 - 1


class _Call(NamedTuple):
    """One node with its tensors resolved; dims are those of one batch item."""

    node: Node
    inputs: tuple[Tensor, ...]
    y: Tensor

    @property
    def x(self) -> Tensor:
        return self.inputs[0]

    def require(self, condition: object, rule: str) -> None:
        if not condition:
            raise ArtifactError(f"node {self.node.name!r} ({self.node.op}): {rule}")

    def attribute(self, at: int, low: int, high: int) -> int:
        value = self.node.attributes[at]
        self.require(low <= value <= high, f"attribute {at} is {value}, it must be in {low}..{high}")
        return value

    def same_dtype(self, *tensors: Tensor) -> None:
        for tensor in tensors:
            self.dtype(tensor, self.y.dtype)

    def dtype(self, tensor: Tensor, dtype: np.dtype[Any] | type) -> None:
        self.require(tensor.dtype == dtype, f"{tensor.name!r} is {tensor.dtype}, it must be {np.dtype(dtype)}")

    def elements(self, tensor: Tensor, count: int) -> None:
        self.require(_size(tensor) == count, f"{tensor.name!r} has {_size(tensor)} elements, it must have {count}")

    def is_index(self, tensor: Tensor) -> None:
        self.require(tensor.dtype in (np.int32, np.int64), f"{tensor.name!r} is {tensor.dtype}, not int32 or int64")

    def broadcast(self) -> None:
        y = self.y.item_dims
        for tensor in self.inputs:
            x = tensor.item_dims
            tail = y[len(y) - len(x) :]
            fits = len(x) <= len(y) and all(a in (1, b) for a, b in zip(x, tail, strict=True))
            self.require(fits, f"{tensor.name!r} {x} cannot be broadcast to {y}")

    def box(self, first: int, dims: tuple[int, ...], elements: int) -> None:
        offset, *steps = self.node.attributes[first : first + BOX_ATTRIBUTES]
        self.require(not any(steps[len(dims) :]), "a step beyond the rank is not 0")
        reaches = [(dim - 1) * step for dim, step in zip(dims, steps, strict=False)]
        low = offset + sum(min(reach, 0) for reach in reaches)
        high = offset + sum(max(reach, 0) for reach in reaches)
        self.require(low >= 0 and high < elements, f"positions {low} to {high} are not inside {elements} elements")


def check_plain_node(graph: Graph, node: Node) -> None:
    """Raise ArtifactError where a node, its counts of inputs and attributes checked before, breaks a rule."""
    call = _Call(node, tuple(graph.tensors[i] for i in node.inputs), graph.tensors[node.outputs[0]])
    for tensor in (*call.inputs, call.y):
        call.require(not tensor.scale, f"{tensor.name!r} is quantized")
    _RULES[node.op](call)


def _size(tensor: Tensor) -> int:
    return math.prod(tensor.item_dims)


def _is_float(tensor: Tensor) -> bool:
    return bool(np.issubdtype(tensor.dtype, np.floating))


def _cast(c: _Call) -> None:
    c.elements(c.x, _size(c.y))


def _unary(c: _Call) -> None:
    c.same_dtype(c.x)
    c.elements(c.x, _size(c.y))
    allowed = FLOAT_UNARY if _is_float(c.y) else INTEGER_UNARY
    known = {UNARY[name] for name in allowed}
    c.require(c.node.attributes[0] in known, f"there is no function {c.node.attributes[0]} of {c.y.dtype}")


def _binary(c: _Call) -> None:
    a, b = c.inputs
    c.dtype(b, a.dtype)
    c.broadcast()
    names = {code: name for name, code in BINARY.items() if not (_is_float(a) and name in INTEGER_ONLY_BINARY)}
    name = names.get(c.node.attributes[0])
    c.require(name, f"there is no function {c.node.attributes[0]} of {a.dtype}")
    c.dtype(c.y, np.dtype(np.bool_) if name in COMPARISONS else a.dtype)


def _select(c: _Call) -> None:
    condition, a, b = c.inputs
    c.dtype(condition, np.bool_)
    c.same_dtype(a, b)
    c.broadcast()


def _reduce(c: _Call) -> None:
    x = c.x.item_dims
    c.same_dtype(c.x)
    c.attribute(0, 1, max(REDUCE.values()))
    mask = c.attribute(1, 0, (1 << len(x)) - 1)
    c.elements(c.y, math.prod(dim for axis, dim in enumerate(x) if not mask >> axis & 1))


def _arg_reduce(c: _Call) -> None:
    x = c.x.item_dims
    c.dtype(c.y, np.int64)
    c.attribute(0, 0, 1)
    axis = c.attribute(1, 0, len(x) - 1)
    c.attribute(2, 0, 1)
    c.elements(c.y, _size(c.x) // x[axis])


def _cumulate(c: _Call) -> None:
    c.same_dtype(c.x)
    c.attribute(0, 0, 1)
    c.attribute(1, 0, len(c.x.item_dims) - 1)
    c.attribute(2, 0, 1)
    c.attribute(3, 0, 1)
    c.elements(c.y, _size(c.x))


def _view_copy(c: _Call) -> None:
    c.require(c.x.dtype.itemsize == c.y.dtype.itemsize, "input and output differ in the size of an element")
    c.box(0, c.y.item_dims, _size(c.x))


def _assemble(c: _Call) -> None:
    pieces = c.inputs[1:]
    c.require(len(c.node.attributes) == BOX_ATTRIBUTES * len(pieces), "the attributes are not 9 for each piece")
    c.elements(c.x, 1)
    c.same_dtype(*c.inputs)
    for i, piece in enumerate(pieces):
        c.box(i * BOX_ATTRIBUTES, piece.item_dims, _size(c.y))


def _index(c: _Call) -> None:
    c.is_index(c.x)
    c.dtype(c.y, np.int64)
    c.elements(c.x, _size(c.y))
    c.attribute(0, 1, INT32_MAX)


def _gather(c: _Call) -> None:
    c.is_index(c.inputs[1])
    c.same_dtype(c.x)
    outer, size, inner = (c.attribute(at, 1, INT32_MAX) for at in range(3))
    c.elements(c.x, outer * size * inner)
    c.elements(c.y, outer * _size(c.inputs[1]) * inner)


def _scatter(c: _Call) -> None:
    data, indices, updates = c.inputs
    c.is_index(indices)
    c.same_dtype(data, updates)
    size, inner = (c.attribute(at, 1, INT32_MAX) for at in range(2))
    c.attribute(2, 0, max(SCATTER.values()))
    c.elements(data, size * inner)
    c.elements(c.y, size * inner)
    c.elements(updates, inner * _size(indices))


def _dot(c: _Call) -> None:
    c.same_dtype(*c.inputs)
    a, b = (tensor.item_dims for tensor in c.inputs)
    y = c.y.item_dims
    c.require(min(len(a), len(b)) >= 2 and max(len(a), len(b)) <= len(y), "an operand is no matrix")
    c.require(a[-1] == b[-2] and (a[-2], b[-1]) == y[-2:], f"{a} times {b} is not {y}")
    for x in (a, b):
        tail = y[len(y) - len(x) : -2]
        c.require(all(m in (1, n) for m, n in zip(x[:-2], tail, strict=True)), f"{x} cannot be broadcast to {y}")


def _top_k(c: _Call) -> None:
    x = c.x.item_dims
    c.dtype(c.y, np.int64)
    c.attribute(0, 0, 1)
    axis = c.attribute(1, 0, len(x) - 1)
    lines = _size(c.x) // x[axis]
    c.elements(c.y, lines * min(max(_size(c.y) // lines, 1), x[axis]))


def _compact(c: _Call) -> None:
    c.dtype(c.x, np.bool_)
    c.dtype(c.y, np.int64)
    c.elements(c.y, _size(c.x))


def _nms(c: _Call) -> None:
    boxes, scores, boxes_max, *thresholds = c.inputs
    dims = scores.item_dims
    c.require(len(dims) == 3, "the scores are not [batch, classes, boxes]")
    for tensor in (boxes, scores, *thresholds):
        c.dtype(tensor, np.float32)
    c.dtype(boxes_max, np.int64)
    c.dtype(c.y, np.int64)
    c.elements(boxes, dims[0] * dims[2] * 4)
    for tensor in (boxes_max, *thresholds):
        c.elements(tensor, 1)
    c.attribute(0, 0, 1)
    c.elements(c.y, 3 * min(max(_size(c.y) // 3, 1), _size(scores)))


_RULES: Final[Mapping[str, Callable[[_Call], None]]] = {
    "cast": _cast,
    "unary": _unary,
    "binary": _binary,
    "select": _select,
    "reduce": _reduce,
    "arg_reduce": _arg_reduce,
    "cumulate": _cumulate,
    "view_copy": _view_copy,
    "assemble": _assemble,
    "index": _index,
    "gather": _gather,
    "scatter": _scatter,
    "dot": _dot,
    "top_k": _top_k,
    "compact": _compact,
    "nms": _nms,
}
