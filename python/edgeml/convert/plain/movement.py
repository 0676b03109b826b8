# SPDX-License-Identifier: Apache-2.0
"""Lowering of operators that move elements, and of those that only ask for shapes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
from onnx import helper

from edgeml.convert.plain.builder import Value
from edgeml.convert.plain.lowering import Call


def _shape(c: Call) -> Value:
    rank = c.x.rank
    start, end = c.attribute("start", 0), c.attribute("end", rank)
    return c.b.constant(np.array(c.x.shape, np.int64)[start:end])


def _size(c: Call) -> Value:
    return c.b.constant(np.int64(c.x.size))


def _constant(c: Call) -> Value:
    for name, dtype in (
        ("value_float", np.float32),
        ("value_floats", np.float32),
        ("value_int", np.int64),
        ("value_ints", np.int64),
    ):
        if name in c.attributes:
            return c.b.constant(c.attribute(name), dtype)
    if "value" not in c.attributes:
        raise c.unsupported("is no number")
    return c.b.constant(c.attribute("value"))


def _constant_of_shape(c: Call) -> Value:
    value = np.asarray(c.attribute("value", np.zeros(1, np.float32))).reshape(())
    return _filled(c, value, [int(n) for n in c.x.known()])


def _filled(c: Call, value: np.ndarray, shape: Sequence[int]) -> Value:
    return c.b.constant(np.full(tuple(shape), value))


def _range(c: Call) -> Value:
    start, limit, delta = (c.need(i).known().reshape(()) for i in range(3))
    count = max(int(np.ceil((limit - start) / delta)), 0)
    steps = c.b.constant(np.arange(count).astype(start.dtype))
    if not count:
        return steps
    return c.b.binary("add", c.b.binary("mul", steps, c.b.constant(delta)), c.b.constant(start))


def _eye_like(c: Call) -> Value:
    kind = c.attribute("dtype")
    dtype = c.x.dtype if kind is None else helper.tensor_dtype_to_np_dtype(kind)
    return c.b.constant(np.eye(c.x.shape[0], c.x.shape[1], k=c.attribute("k", 0), dtype=dtype))


def _reshape(c: Call) -> Value:
    wanted = c.integers("shape", 1) or []
    if not c.attribute("allowzero", 0):
        wanted = [c.x.shape[i] if n == 0 else n for i, n in enumerate(wanted)]
    if -1 in wanted:
        rest = math.prod(n for n in wanted if n != -1)
        wanted[wanted.index(-1)] = c.x.size // rest if rest else 0
    return c.b.reshape(c.x, wanted)


def _flatten(c: Call) -> Value:
    axis = c.attribute("axis", 1)
    axis = axis + c.x.rank if axis < 0 else axis
    return c.b.reshape(c.x, (math.prod(c.x.shape[:axis]), math.prod(c.x.shape[axis:])))


def _squeeze(c: Call) -> Value:
    axes = c.integers("axes", 1)
    gone = [i for i, n in enumerate(c.x.shape) if n == 1] if axes is None else [a % c.x.rank for a in axes]
    return c.b.reshape(c.x, [n for i, n in enumerate(c.x.shape) if i not in gone])


def _unsqueeze(c: Call) -> Value:
    axes = c.integers("axes", 1) or []
    rank = c.x.rank + len(axes)
    new = {a % rank for a in axes}
    left = iter(c.x.shape)
    return c.b.reshape(c.x, [1 if i in new else next(left) for i in range(rank)])


def _transpose(c: Call) -> Value:
    return c.b.transpose(c.x, c.attribute("perm", tuple(reversed(range(c.x.rank)))))


def _slice(c: Call) -> Value:
    starts, ends = c.integers("starts", 1) or [], c.integers("ends", 2) or []
    axes = c.integers("axes", 3) or list(range(len(starts)))
    steps = c.integers("steps", 4) or [1] * len(starts)
    cuts = [slice(None)] * c.x.rank
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        cuts[axis] = slice(start, end if step > 0 or end >= -c.x.shape[axis] else None, step)
    spans = [range(*cut.indices(n)) for cut, n in zip(cuts, c.x.shape, strict=True)]
    return c.b.slice(c.x, [s.start for s in spans], [len(s) for s in spans], [s.step for s in spans])


def _expand(c: Call) -> Value:
    return c.b.expand(c.x, np.broadcast_shapes(c.x.shape, tuple(int(n) for n in c.need(1).known())))


def _tile(c: Call) -> Value:
    y = c.x
    for axis, count in enumerate(c.integers("repeats", 1) or []):
        if count != 1:
            split = (*y.shape[:axis], 1, *y.shape[axis:])
            many = (*y.shape[:axis], count, *y.shape[axis:])
            joined = (*y.shape[:axis], count * y.shape[axis], *y.shape[axis + 1 :])
            y = c.b.reshape(c.b.expand(c.b.reshape(y, split), many), joined)
    return y


def _concat(c: Call) -> Value:
    values = [value for value in c.inputs if value is not None]
    return c.b.concat(values, c.attribute("axis", 1) % values[0].rank)


def _split(c: Call) -> Sequence[Value]:
    axis = c.attribute("axis", 0) % c.x.rank
    size = c.x.shape[axis]
    sizes = c.integers("split", 1)
    if sizes is None:
        count = c.attribute("num_outputs", len(c.node.output))
        each = -(-size // count)
        sizes = [min(each, size - i * each) for i in range(count)]
    starts = [sum(sizes[:i]) for i in range(len(sizes))]
    return [c.b.take(c.x, axis, start, n) for start, n in zip(starts, sizes, strict=True)]


def _pad(c: Call) -> Value:
    pads = c.integers("pads", 1) or []
    axes = [a % c.x.rank for a in (c.integers("axes", 3) or range(c.x.rank))]
    begins, ends = [0] * c.x.rank, [0] * c.x.rank
    for i, axis in enumerate(axes):
        begins[axis], ends[axis] = pads[i], pads[i + len(axes)]
    x = c.x
    cut = [(max(-b, 0), max(-e, 0)) for b, e in zip(begins, ends, strict=True)]
    if any(map(any, cut)):
        sizes = [n - b - e for n, (b, e) in zip(x.shape, cut, strict=True)]
        x = c.b.slice(x, [b for b, _ in cut], sizes, [1] * x.rank)
    begins, ends = [max(n, 0) for n in begins], [max(n, 0) for n in ends]
    mode = c.attribute("mode", "constant")
    if mode == "constant":
        fill = c.optional(2)
        if fill is None:
            fill = c.b.like(c.attribute("value", 0.0), x)
        return c.b.pad(x, begins, ends, c.b.reshape(fill, ()))
    kind = {"reflect": "reflect", "edge": "edge", "wrap": "wrap"}[mode]
    for axis, (begin, end) in enumerate(zip(begins, ends, strict=True)):
        if begin or end:
            indices = np.pad(np.arange(x.shape[axis], dtype=np.int64), (begin, end), mode=kind)  # type: ignore[call-overload]
            x = c.b.gather(x, c.b.constant(indices), axis)
    return x


def _depth_to_space(c: Call) -> Value:
    n, channels, h, w = c.x.shape
    block = c.attribute("blocksize")
    if c.attribute("mode", "DCR") == "DCR":
        split, perm = (n, block, block, channels // block**2, h, w), (0, 3, 4, 1, 5, 2)
    else:
        split, perm = (n, channels // block**2, block, block, h, w), (0, 1, 4, 2, 5, 3)
    y = c.b.transpose(c.b.reshape(c.x, split), perm)
    return c.b.reshape(y, (n, channels // block**2, h * block, w * block))


def _space_to_depth(c: Call) -> Value:
    n, channels, h, w = c.x.shape
    block = c.attribute("blocksize")
    y = c.b.reshape(c.x, (n, channels, h // block, block, w // block, block))
    if c.attribute("mode", "DCR") == "CRD":
        y = c.b.transpose(y, (0, 1, 3, 5, 2, 4))
    else:
        y = c.b.transpose(y, (0, 3, 5, 1, 2, 4))
    return c.b.reshape(y, (n, channels * block**2, h // block, w // block))


def _trilu(c: Call) -> Value:
    rows, columns = c.x.shape[-2:]
    distance = c.b.constant(np.arange(columns)[None, :] - np.arange(rows)[:, None], np.int64)
    k = c.optional(1) or c.b.constant(np.int64(0))
    k = c.b.reshape(k, ())
    keep = c.b.binary("less_equal", k, distance) if c.attribute("upper", 1) else c.b.binary("less_equal", distance, k)
    return c.b.select(keep, c.x, c.b.like(0, c.x))


RULES: Final[dict[str, Callable[[Call], Value | Sequence[Value | None]]]] = {
    "Shape": _shape,
    "Size": _size,
    "Constant": _constant,
    "ConstantOfShape": _constant_of_shape,
    "Range": _range,
    "EyeLike": _eye_like,
    "Reshape": _reshape,
    "Flatten": _flatten,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Transpose": _transpose,
    "Slice": _slice,
    "Expand": _expand,
    "Tile": _tile,
    "Concat": _concat,
    "Split": _split,
    "Pad": _pad,
    "DepthToSpace": _depth_to_space,
    "SpaceToDepth": _space_to_depth,
    "Trilu": _trilu,
}
