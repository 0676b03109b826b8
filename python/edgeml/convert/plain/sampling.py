# SPDX-License-Identifier: Apache-2.0
"""Lowering of operators that read or write at positions which the data give: sampling on grids, sums of columns, caches."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Final

import numpy as np

from edgeml.convert.plain.builder import PlainBuilder, Value
from edgeml.convert.plain.lowering import Call


def _scaled(b: PlainBuilder, x: Value, factor: float, shift: float) -> Value:
    return b.binary("add", b.binary("mul", x, b.like(factor, x)), b.like(shift, x))


def _held(b: PlainBuilder, x: Value, low: float, high: float) -> Value:
    return b.binary("min", b.binary("max", x, b.like(low, x)), b.like(high, x))


def _reflected(b: PlainBuilder, x: Value, low: float, high: float) -> Value:
    """Mirror at both ends as often as it takes."""
    span = high - low
    if span <= 0:
        return b.binary("mul", x, b.like(0, x))
    turn = b.binary("floor_mod", b.binary("sub", x, b.like(low, x)), b.like(2 * span, x))
    back = b.binary("sub", b.like(2 * span, x), turn)
    return b.binary("add", b.binary("min", turn, back), b.like(low, x))


def _cubic_weights(b: PlainBuilder, t: Value) -> list[Value]:
    """Weights of the four neighbours at -1, 0, 1, 2 for a fraction t; a = -0.75."""
    a = -0.75

    def polynomial(d: Value, *factors: float) -> Value:
        total = b.expand(b.like(factors[0], d), d.shape)
        for factor in factors[1:]:
            total = b.binary("add", b.binary("mul", total, d), b.like(factor, d))
        return total

    def far(d: Value) -> Value:
        return polynomial(d, a, -5 * a, 8 * a, -4 * a)

    def near(d: Value) -> Value:
        return polynomial(d, a + 2, -(a + 3), 0, 1)

    rest = b.binary("sub", b.like(1, t), t)
    one = b.like(1, t)
    return [far(b.binary("add", t, one)), near(t), near(rest), far(b.binary("add", rest, one))]


def _grid_sample(c: Call) -> Value:
    b, x, grid = c.b, c.x, c.need(1)
    size = x.shape[2:]
    align = bool(c.attribute("align_corners", 0))
    mode = c.attribute("mode", "linear").removeprefix("bi")
    padding = c.attribute("padding_mode", "zeros")
    n, out = x.shape[0], grid.shape[1:-1]
    positions = []
    for axis, length in enumerate(size):
        at = b.reshape(b.take(grid, grid.rank - 1, len(size) - 1 - axis), (n, 1, math.prod(out)))
        at = (
            _scaled(b, at, (length - 1) / 2, (length - 1) / 2)
            if align
            else _scaled(b, at, length / 2, (length - 1) / 2)
        )
        if padding == "border" and mode != "cubic":
            at = _held(b, at, 0, length - 1)
        elif padding == "reflection" and mode != "cubic":
            at = _reflected(b, at, 0 if align else -0.5, length - 1 if align else length - 0.5)
        positions.append(at)
    taps: list[list[tuple[Value, Value | None]]] = []  # for each axis: position, weight
    for at in positions:
        if mode == "nearest":
            taps.append([(b.unary("round", at), None)])
            continue
        base = b.unary("floor", at)
        t = b.binary("sub", at, base)
        if mode == "cubic":
            shifts = [(shift, weight) for shift, weight in zip((-1, 0, 1, 2), _cubic_weights(b, t), strict=True)]
        else:
            shifts = [(0, b.binary("sub", b.like(1, t), t)), (1, t)]
        taps.append([(b.binary("add", base, b.like(shift, base)), weight) for shift, weight in shifts])
    total = [_tap(c, combination, padding, align=align) for combination in itertools.product(*taps)]
    y = reduce(lambda a, z: b.binary("add", a, z), total)
    return b.reshape(y, (n, x.shape[1], *out))


def _tap(c: Call, taps: Sequence[tuple[Value, Value | None]], padding: str, *, align: bool) -> Value:
    """The weighted elements of all channels at one neighbour of every position; 0 outside where padding is zeros."""
    b, x = c.b, c.x
    n, channels, *size = x.shape
    inside: Value | None = None
    flat: Value | None = None
    weight: Value | None = None
    for (raw, part), length, step in zip(taps, size, [math.prod(size[i + 1 :]) for i in range(len(size))], strict=True):
        at = raw
        if padding == "reflection":
            at = _reflected(b, at, 0 if align else -0.5, length - 1 if align else length - 0.5)
            at = b.unary("round", at) if part is None else at
        if padding == "zeros":
            here = b.binary(
                "bit_and", b.binary("less_equal", b.like(0, at), at), b.binary("less_equal", at, b.like(length - 1, at))
            )
            inside = here if inside is None else b.binary("bit_and", inside, here)
        at = b.binary("mul", b.cast(_held(b, at, 0, length - 1), np.int64), b.constant(np.int64(step)))
        flat = at if flat is None else b.binary("add", flat, at)
        if part is not None:
            weight = part if weight is None else b.binary("mul", weight, part)
    if flat is None:
        raise c.unsupported("samples no axis")
    planes = np.arange(n * channels, dtype=np.int64).reshape(n, channels, 1) * math.prod(size)
    found = b.gather(b.reshape(x, (x.size,)), b.binary("add", flat, b.constant(planes)), 0)
    if inside is not None:
        found = b.select(inside, found, b.like(0, found))
    return found if weight is None else b.binary("mul", found, weight)


def _col2im(c: Call) -> Value:
    b, x = c.b, c.x
    size, block = ([int(v) for v in c.need(i).known()] for i in (1, 2))
    count = len(size)
    strides, dilations = (c.attribute(name, [1] * count) for name in ("strides", "dilations"))
    pads = c.attribute("pads", [0] * (2 * count))
    n, channels = x.shape[0], x.shape[1] // math.prod(block)
    out = [
        (size[i] + pads[i] + pads[i + count] - dilations[i] * (block[i] - 1) - 1) // strides[i] + 1
        for i in range(count)
    ]
    padded = [size[i] + pads[i] + pads[i + count] for i in range(count)]
    # Where each element of a column goes, in the padded image.
    places = np.zeros((*block, *out), np.int64)
    for i in range(count):
        kernel = np.arange(block[i]).reshape([-1 if k == i else 1 for k in range(2 * count)]) * dilations[i]
        step = np.arange(out[i]).reshape([-1 if k == count + i else 1 for k in range(2 * count)]) * strides[i]
        places += (kernel + step) * math.prod(padded[i + 1 :])
    planes = np.arange(n * channels, dtype=np.int64)[:, None] * math.prod(padded)
    zeros = b.constant(np.zeros((n, channels, *padded), x.dtype))
    image = b.scatter(zeros, b.constant(planes + places.reshape(1, -1)), b.reshape(x, (x.size,)), zeros.size, "add")
    starts = [0, 0, *pads[:count]]
    return b.slice(image, starts, (n, channels, *size), [1] * (2 + count))


def _det(c: Call) -> Value:
    b, x = c.b, c.x
    n = x.shape[-1]
    if n > 4:
        raise c.unsupported(f"is of {n} by {n} matrices", "at most 4 by 4 can be lowered")
    flat = b.reshape(x, (*x.shape[:-2], n * n))
    total: Value | None = None
    for perm in itertools.permutations(range(n)):
        factors = [b.take(flat, flat.rank - 1, row * n + column) for row, column in enumerate(perm)]
        term = reduce(lambda a, z: b.binary("mul", a, z), factors)
        odd = sum(perm[i] > perm[j] for i in range(n) for j in range(i + 1, n)) % 2
        total = term if total is None else b.binary("sub" if odd else "add", total, term)
    if total is None:
        raise c.unsupported("is of empty matrices")
    return b.reshape(total, x.shape[:-2])


def _tensor_scatter(c: Call) -> Value:
    b, past, update = c.b, c.need(0), c.need(1)
    axis = c.attribute("axis", -2) % past.rank
    first = c.optional(2) or b.constant(np.zeros(past.shape[0], np.int64))
    length = past.shape[axis]
    shape = [1] * past.rank
    shape[0] = past.shape[0]
    step = np.arange(update.shape[axis], dtype=np.int64).reshape([-1 if i == axis else 1 for i in range(past.rank)])
    at = b.binary("add", b.reshape(first, shape), b.constant(step))
    if c.attribute("mode", "linear") == "circular":
        at = b.binary("floor_mod", at, b.constant(np.int64(length)))
    at = b.index(at, length)
    dense = [math.prod(past.shape[i + 1 :]) for i in range(past.rank)]
    base = np.zeros(update.shape, np.int64)
    for i, places in enumerate(np.indices(update.shape)):
        if i != axis:
            base += places * dense[i]
    flat = b.binary("add", b.binary("mul", at, b.constant(np.int64(dense[axis]))), b.constant(base))
    return b.scatter(past, flat, update, past.size)


RULES: Final[dict[str, Callable[[Call], Value]]] = {
    "GridSample": _grid_sample,
    "Col2Im": _col2im,
    "Det": _det,
    "TensorScatter": _tensor_scatter,
}
