# SPDX-License-Identifier: Apache-2.0
"""Lowering of operators that look up, put, order or find elements."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Final

import numpy as np

from edgeml.convert.plain.builder import Value
from edgeml.convert.plain.lowering import Call


def _gather(c: Call) -> Value:
    return c.b.gather(c.x, c.need(1), c.attribute("axis", 0) % c.x.rank)


def _flat(c: Call, shape: Sequence[int], indices: Value, axis: int) -> Value:
    """Flat positions in a tensor of `shape`, where indices replace one coordinate of their own position."""
    dense = [math.prod(shape[i + 1 :]) for i in range(len(shape))]
    base = np.zeros(indices.shape, np.int64)
    for i, grid in enumerate(np.indices(indices.shape)):
        if i != axis:
            base += grid * dense[i]
    checked = c.b.index(indices, shape[axis])
    return c.b.binary("add", c.b.binary("mul", checked, c.b.constant(np.int64(dense[axis]))), c.b.constant(base))


def _gather_elements(c: Call) -> Value:
    axis = c.attribute("axis", 0) % c.x.rank
    flat = _flat(c, c.x.shape, c.need(1), axis)
    return c.b.gather(c.b.reshape(c.x, (c.x.size,)), flat, 0)


def _scatter_elements(c: Call) -> Value:
    axis = c.attribute("axis", 0) % c.x.rank
    flat = _flat(c, c.x.shape, c.need(1), axis)
    return c.b.scatter(c.x, flat, c.need(2), c.x.size, _folding(c))


def _folding(c: Call) -> str:
    function = c.attribute("reduction", "none")
    return "replace" if function == "none" else str(function)


def _rows(c: Call, shape: Sequence[int], indices: Value) -> Value:
    """Positions among slices from index tuples along the last axis."""
    depth = indices.shape[-1]
    parts = []
    for k in range(depth):
        column = c.b.reshape(c.b.take(indices, indices.rank - 1, k), indices.shape[:-1])
        step = c.b.constant(np.int64(math.prod(shape[k + 1 : depth])))
        parts.append(c.b.binary("mul", c.b.index(column, shape[k]), step))
    return reduce(lambda a, z: c.b.binary("add", a, z), parts)


def _gather_nd(c: Call) -> Value:
    b, x, indices = c.b, c.x, c.need(1)
    batch = c.attribute("batch_dims", 0)
    depth = indices.shape[-1]
    rows = _rows(c, x.shape[batch:], indices)
    inner = x.shape[batch + depth :]
    slices = math.prod(x.shape[batch : batch + depth])
    if batch:
        items = math.prod(x.shape[:batch])
        first = np.arange(items, dtype=np.int64) * slices
        rows = b.binary("add", rows, b.constant(first.reshape(*x.shape[:batch], *[1] * (rows.rank - batch))))
        slices *= items
    return b.reshape(b.gather(b.reshape(x, (slices, *inner)), rows, 0), (*indices.shape[:-1], *inner))


def _scatter_nd(c: Call) -> Value:
    x, indices = c.x, c.need(1)
    rows = _rows(c, x.shape, indices)
    return c.b.scatter(x, rows, c.need(2), math.prod(x.shape[: indices.shape[-1]]), _folding(c))


def _one_hot(c: Call) -> Value:
    b, indices, values = c.b, c.x, c.need(2)
    depth = int(c.need(1).known().reshape(-1)[0])
    axis = c.attribute("axis", -1) % (indices.rank + 1)
    shape = list(indices.shape)
    shape.insert(axis, 1)
    place = [1] * len(shape)
    place[axis] = depth
    whole = b.cast(indices, np.int64)
    # Negative indices count from the end; those outside are off everywhere.
    negative = b.binary("less", whole, b.like(0, whole))
    whole = b.select(negative, b.binary("add", whole, b.like(depth, whole)), whole)
    hit = b.binary("equal", b.reshape(whole, shape), b.constant(np.arange(depth, dtype=np.int64).reshape(place)))
    off, on = (b.reshape(b.take(values, 0, i), ()) for i in (0, 1))
    return b.select(hit, on, off)


def _top_k(c: Call) -> Sequence[Value]:
    axis = c.attribute("axis", -1) % c.x.rank
    k = (c.integers("k", 1) or [0])[0]
    order = c.b.top_k(c.x, axis, k, largest=bool(c.attribute("largest", 1)))
    return [c.b.gather(c.b.reshape(c.x, (c.x.size,)), _flat(c, c.x.shape, order, axis), 0), order]


def _is_true(c: Call, x: Value) -> Value:
    return x if x.dtype == np.bool_ else c.b.logical_not(c.b.binary("equal", x, c.b.like(0, x)))


def _count(c: Call, mask: Value) -> Value:
    return c.b.reduce("sum", c.b.cast(mask, np.int64), range(mask.rank), keepdims=False)


def _nonzero(c: Call) -> Value:
    b, x = c.b, c.x
    mask = _is_true(c, x)
    flat = b.binary("max", b.compact(mask), b.constant(np.int64(0)))
    rows = []
    for axis in range(max(x.rank, 1)):
        dense = b.constant(np.int64(math.prod(x.shape[axis + 1 :])))
        size = b.constant(np.int64(x.shape[axis] if x.rank else 1))
        rows.append(b.reshape(b.binary("fmod", b.binary("div", flat, dense), size), (1, x.size)))
    y = b.concat(rows, 0)
    y.count = (1, _count(c, mask))
    return y


def _compress(c: Call) -> Value:
    b, x, condition = c.b, c.x, c.need(1)
    axis = c.attribute("axis")
    if axis is None:
        x, axis = b.reshape(x, (x.size,)), 0
    axis %= x.rank
    limit = min(condition.shape[0], x.shape[axis])
    condition = b.take(condition, 0, 0, limit)
    y = b.gather(x, b.binary("max", b.compact(condition), b.constant(np.int64(0))), axis)
    if y.size and y.roots:
        y.count = (axis, _count(c, condition))
    return y


def _non_max_suppression(c: Call) -> Value:
    b, boxes, scores = c.b, c.need(0), c.need(1)
    limit = c.optional(2)
    most = int(limit.known().reshape(-1)[0]) if limit is not None else 0
    rows = scores.shape[0] * scores.shape[1] * min(most, scores.shape[2])
    overlap = c.optional(3) or b.constant(np.zeros(1, np.float32))
    lowest = c.optional(4) or b.constant(np.full(1, -np.inf, np.float32))
    found = b.nms(
        [boxes, scores, b.constant(np.array([most], np.int64)), overlap, lowest],
        rows,
        centred=bool(c.attribute("center_point_box", 0)),
    )
    if rows:
        used = b.binary("less_equal", b.constant(np.int64(0)), b.take(found, 1, 0))
        found.count = (0, _count(c, used))
    return found


def _reverse_sequence(c: Call) -> Value:
    b, x, lengths = c.b, c.x, c.need(1)
    batch, time = c.attribute("batch_axis", 1), c.attribute("time_axis", 0)
    shape = [1] * x.rank
    shape[batch] = x.shape[batch]
    length = b.reshape(b.cast(lengths, np.int64), shape)
    shape = [1] * x.rank
    shape[time] = x.shape[time]
    step = b.constant(np.arange(x.shape[time], dtype=np.int64).reshape(shape))
    turned = b.binary("sub", b.binary("sub", length, b.constant(np.int64(1))), step)
    source = b.expand(b.select(b.binary("less", step, length), turned, step), x.shape)
    return b.gather(b.reshape(x, (x.size,)), _flat(c, x.shape, source, time), 0)


def _max_unpool(c: Call) -> Value:
    b, x, indices = c.b, c.x, c.need(1)
    kernel = c.attribute("kernel_shape")
    strides = c.attribute("strides", [1] * len(kernel))
    pads = c.attribute("pads", [0] * (2 * len(kernel)))
    own = [
        (n - 1) * s + k - pads[i] - pads[i + len(kernel)]
        for i, (n, s, k) in enumerate(zip(x.shape[2:], strides, kernel, strict=True))
    ]
    given = c.optional(2)
    shape = (*x.shape[:2], *own) if given is None else tuple(int(n) for n in given.known())
    size = math.prod(shape)
    zeros = b.constant(np.zeros(shape, x.dtype))
    if given is not None:
        # Indices count in the tensor that the kernel gives; its coordinates stay in the larger one.
        own_shape = (*x.shape[:2], *own)
        parts, rest = [], indices
        for axis in range(x.rank):
            dense = b.constant(np.int64(math.prod(own_shape[axis + 1 :])))
            step = b.constant(np.int64(math.prod(shape[axis + 1 :])))
            parts.append(b.binary("mul", b.binary("div", rest, dense), step))
            rest = b.binary("fmod", rest, dense)
        indices = reduce(lambda a, z: b.binary("add", a, z), parts)
    return b.scatter(zeros, b.index(indices, size), x, size)


RULES: Final[dict[str, Callable[[Call], Value | Sequence[Value | None]]]] = {
    "Gather": _gather,
    "GatherElements": _gather_elements,
    "GatherND": _gather_nd,
    "Scatter": _scatter_elements,
    "ScatterElements": _scatter_elements,
    "ScatterND": _scatter_nd,
    "OneHot": _one_hot,
    "TopK": _top_k,
    "NonZero": _nonzero,
    "Compress": _compress,
    "NonMaxSuppression": _non_max_suppression,
    "ReverseSequence": _reverse_sequence,
    "MaxUnpool": _max_unpool,
}
