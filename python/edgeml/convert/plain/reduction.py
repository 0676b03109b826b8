# SPDX-License-Identifier: Apache-2.0
"""Lowering of reductions, running sums, and the normalizations that are made of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from edgeml.convert.plain.builder import Value
from edgeml.convert.plain.lowering import Call, Rule


def _axes(c: Call) -> list[int]:
    axes = c.integers("axes", 1)
    if not axes:
        return [] if c.attribute("noop_with_empty_axes", 0) else list(range(c.x.rank))
    return [axis % c.x.rank for axis in axes]


def _reduce(function: str, before: str = "", after: str = "") -> Rule:
    def rule(c: Call) -> Value:
        x, axes = c.x, _axes(c)
        if x.size == 0:
            return _of_nothing(c, function, after, axes)
        if x.dtype == np.bool_:
            return c.b.cast(
                c.b.reduce(function, c.b.cast(x, np.uint8), axes, keepdims=bool(c.attribute("keepdims", 1))), x.dtype
            )
        if before:
            x = c.b.unary(before, x)
        x = c.b.reduce(function, x, axes, keepdims=bool(c.attribute("keepdims", 1)))
        if not after:
            return x
        return c.b.unary(after, x) if x.is_float else c.b.cast(c.b.unary(after, c.b.cast(x, np.float64)), x.dtype)

    return rule


def _of_nothing(c: Call, function: str, after: str, axes: Sequence[int]) -> Value:
    """What a reduction of no elements gives: the neutral element."""
    x, keepdims = c.x, bool(c.attribute("keepdims", 1))
    shape = [1 if axis in axes else n for axis, n in enumerate(x.shape) if keepdims or axis not in axes]
    least, most = (-np.inf, np.inf) if x.is_float else (0, 1)
    if x.dtype.kind in "iu":
        least, most = np.iinfo(x.dtype).min, np.iinfo(x.dtype).max
    neutral = {"prod": 1, "max": least, "min": most}.get(function, -np.inf if after == "log" else 0)
    if function == "mean":
        neutral = np.nan
    return c.b.constant(np.full(shape, neutral).astype(x.dtype))


def _log_sum_exp(c: Call) -> Value:
    b, axes = c.b, _axes(c)
    if c.x.size == 0:
        return _of_nothing(c, "sum", "log", axes)
    x = c.x if c.x.is_float else b.cast(c.x, np.float64)
    most = b.reduce("max", x, axes)
    total = b.reduce("sum", b.unary("exp", b.binary("sub", x, most)), axes)
    y = b.binary("add", b.unary("log", total), most)
    shape = b.reduce("sum", x, axes, keepdims=bool(c.attribute("keepdims", 1))).shape
    return b.cast(b.reshape(y, shape), c.x.dtype)


def _arg(*, largest: bool) -> Rule:
    def rule(c: Call) -> Value:
        axis = c.attribute("axis", 0) % c.x.rank
        y = c.b.arg_reduce(c.x, axis, largest=largest, last=bool(c.attribute("select_last_index", 0)))
        return y if c.attribute("keepdims", 1) else c.b.reshape(y, [n for i, n in enumerate(c.x.shape) if i != axis])

    return rule


def _cumulate(*, product: bool) -> Rule:
    def rule(c: Call) -> Value:
        axis = int(c.need(1).known().reshape(())) % c.x.rank
        flags = {name: bool(c.attribute(name, 0)) for name in ("exclusive", "reverse")}
        return c.b.cumulate(c.x, axis, product=product, **flags)

    return rule


def _softmax_axes(c: Call) -> tuple[Value, int]:
    """The input and the axis; before opset 13 everything from the axis on is one."""
    axis = c.attribute("axis", 1 if c.opset < 13 else -1) % max(c.x.rank, 1)
    if c.opset >= 13:
        return c.x, axis
    return c.b.reshape(c.x, (math.prod(c.x.shape[:axis]), math.prod(c.x.shape[axis:]))), 1


def _softmax(c: Call) -> Value:
    b = c.b
    x, axis = _softmax_axes(c)
    e = b.unary("exp", b.binary("sub", x, b.reduce("max", x, [axis])))
    return b.reshape(b.binary("div", e, b.reduce("sum", e, [axis])), c.x.shape)


def _log_softmax(c: Call) -> Value:
    b = c.b
    x, axis = _softmax_axes(c)
    centred = b.binary("sub", x, b.reduce("max", x, [axis]))
    total = b.unary("log", b.reduce("sum", b.unary("exp", centred), [axis]))
    return b.reshape(b.binary("sub", centred, total), c.x.shape)


def _hardmax(c: Call) -> Value:
    b = c.b
    x, axis = _softmax_axes(c)
    place = [1] * x.rank
    place[axis] = x.shape[axis]
    positions = b.constant(np.arange(x.shape[axis], dtype=np.int64).reshape(place))
    first = b.arg_reduce(x, axis, largest=True)
    return b.reshape(b.cast(b.binary("equal", positions, first), x.dtype), c.x.shape)


def normalized(c: Call, x: Value, axes: Sequence[int], epsilon: float) -> Value:
    """(x - mean) / sqrt(variance + epsilon)."""
    b = c.b
    centred = b.binary("sub", x, b.reduce("mean", x, axes))
    variance = b.reduce("mean", b.binary("mul", centred, centred), axes)
    return b.binary("div", centred, b.unary("sqrt", b.binary("add", variance, b.like(epsilon, x))))


def _per_channel(c: Call, value: Value, rank: int) -> Value:
    return c.b.reshape(value, (*value.shape, *[1] * (rank - 2)))


def _instance_normalization(c: Call) -> Value:
    x = c.x
    y = normalized(c, x, range(2, x.rank), c.attribute("epsilon", 1e-5))
    scale, bias = (_per_channel(c, c.need(i), x.rank) for i in (1, 2))
    return c.b.binary("add", c.b.binary("mul", y, scale), bias)


def _batch_normalization(c: Call) -> Sequence[Value | None]:
    b, x = c.b, c.x
    momentum = c.attribute("momentum", 0.9)
    mean, variance = c.need(3), c.need(4)
    running: list[Value | None] = []
    if c.attribute("training_mode", 0):
        axes = [axis for axis in range(x.rank) if axis != 1]
        seen_mean = b.reduce("mean", x, axes)
        centred = b.binary("sub", x, seen_mean)
        seen_variance = b.reduce("mean", b.binary("mul", centred, centred), axes)
        seen = [b.reshape(value, mean.shape) for value in (seen_mean, seen_variance)]
        for old, new in zip((mean, variance), seen, strict=True):
            kept = b.binary("mul", old, b.like(momentum, old))
            running.append(b.binary("add", kept, b.binary("mul", new, b.like(1 - momentum, new))))
        mean, variance = seen
    scale, bias, mean, variance = (_per_channel(c, v, x.rank) for v in (c.need(1), c.need(2), mean, variance))
    spread = b.unary("sqrt", b.binary("add", variance, b.like(c.attribute("epsilon", 1e-5), variance)))
    y = b.binary("div", b.binary("sub", x, mean), spread)
    return [b.binary("add", b.binary("mul", y, scale), bias), *running]


def _lp_normalization(c: Call) -> Value:
    b, axis = c.b, c.attribute("axis", -1)
    if c.attribute("p", 2) == 1:
        norm = b.reduce("sum_abs", c.x, [axis])
    else:
        norm = b.unary("sqrt", b.reduce("sum_square", c.x, [axis]))
    is_zero = b.binary("equal", norm, b.like(0, norm))
    return b.select(is_zero, b.like(0, norm), b.binary("div", c.x, b.select(is_zero, b.like(1, norm), norm)))


def _lrn(c: Call) -> Value:
    b, x, size = c.b, c.x, c.attribute("size")
    before = (size - 1) // 2
    begins, ends = ([0, n] + [0] * (x.rank - 2) for n in (before, size - 1 - before))
    squares = b.pad(b.binary("mul", x, x), begins, ends, b.like(0, x))
    total = b.take(squares, 1, 0, x.shape[1])
    for shift in range(1, size):
        total = b.binary("add", total, b.take(squares, 1, shift, x.shape[1]))
    scaled = b.binary("mul", total, b.like(c.attribute("alpha", 1e-4) / size, x))
    divisor = b.binary(
        "pow", b.binary("add", scaled, b.like(c.attribute("bias", 1.0), x)), b.like(c.attribute("beta", 0.75), x)
    )
    return b.binary("div", x, divisor)


RULES: Final[dict[str, Callable[[Call], Value | Sequence[Value | None]]]] = {
    "ReduceSum": _reduce("sum"),
    "ReduceMean": _reduce("mean"),
    "ReduceMax": _reduce("max"),
    "ReduceMin": _reduce("min"),
    "ReduceProd": _reduce("prod"),
    "ReduceSumSquare": _reduce("sum_square"),
    "ReduceL1": _reduce("sum_abs"),
    "ReduceL2": _reduce("sum_square", after="sqrt"),
    "ReduceLogSum": _reduce("sum", after="log"),
    "ReduceLogSumExp": _log_sum_exp,
    "ArgMax": _arg(largest=True),
    "ArgMin": _arg(largest=False),
    "CumSum": _cumulate(product=False),
    "CumProd": _cumulate(product=True),
    "Softmax": _softmax,
    "LogSoftmax": _log_softmax,
    "Hardmax": _hardmax,
    "InstanceNormalization": _instance_normalization,
    "BatchNormalization": _batch_normalization,
    "LpNormalization": _lp_normalization,
    "LRN": _lrn,
}
