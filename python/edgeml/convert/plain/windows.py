# SPDX-License-Identifier: Apache-2.0
"""Lowering of matrix products, convolutions and pools: windows are an overlapping view, their sums a product or a reduction."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Final

import numpy as np

from edgeml.convert.plain.builder import Value
from edgeml.convert.plain.lowering import Call


def matmul(c: Call, a: Value, z: Value) -> Value:
    """As numpy.matmul."""
    left = c.b.reshape(a, (1, *a.shape)) if a.rank == 1 else a
    right = c.b.reshape(z, (*z.shape, 1)) if z.rank == 1 else z
    y = c.b.dot(left, right)
    shape = list(y.shape)
    if z.rank == 1:
        del shape[-1]
    if a.rank == 1:
        del shape[-1 if z.rank == 1 else -2]
    return c.b.reshape(y, shape)


def _gemm(c: Call) -> Value:
    b = c.b
    left, right = (
        b.transpose(c.need(i), (1, 0)) if c.attribute(name, 0) else c.need(i)
        for i, name in enumerate(("transA", "transB"))
    )
    y = b.dot(left, right)
    for at, name in ((None, "alpha"), (2, "beta")):
        factor = c.attribute(name, 1.0)
        if at is None:
            y = y if factor == 1 else b.binary("mul", y, b.like(factor, y))
        elif (bias := c.optional(at)) is not None:
            y = b.binary("add", y, bias if factor == 1 else b.binary("mul", bias, b.like(factor, bias)))
    return y


@dataclass(frozen=True)
class Window:
    """Geometry along the spatial axes."""

    kernel: list[int]
    strides: list[int]
    dilations: list[int]
    begins: list[int]
    ends: list[int]
    out: list[int]


def window_of(c: Call, kernel: Sequence[int]) -> Window:
    """The window of a convolution or pool, with auto_pad and ceil_mode made into pads."""
    size, count = c.x.shape[2:], len(kernel)
    strides = list(c.attribute("strides", [1] * count))
    dilations = list(c.attribute("dilations", [1] * count))
    pads = list(c.attribute("pads", [0] * (2 * count)))
    mode = c.attribute("auto_pad", "NOTSET")
    begins, ends, out = [], [], []
    for i in range(count):
        extent = (kernel[i] - 1) * dilations[i] + 1
        begin, end = pads[i], pads[i + count]
        if mode in ("SAME_UPPER", "SAME_LOWER"):
            total = max((-(-size[i] // strides[i]) - 1) * strides[i] + extent - size[i], 0)
            begin = total // 2 if mode == "SAME_UPPER" else total - total // 2
            end = total - begin
        elif mode == "VALID":
            begin = end = 0
        room = size[i] + begin + end - extent
        steps = -(-room // strides[i]) if c.attribute("ceil_mode", 0) else room // strides[i]
        if c.attribute("ceil_mode", 0) and steps * strides[i] >= size[i] + begin:
            steps -= 1  # a window has to begin inside the input or its first padding
        begins.append(begin)
        ends.append(max(end, steps * strides[i] + extent - size[i] - begin))
        out.append(steps + 1)
    return Window(list(kernel), strides, dilations, begins, ends, out)


def windows(c: Call, x: Value, w: Window, fill: Value) -> Value:
    """[N, C, *spatial] -> [N, C, *kernel, *out]."""
    padded = c.b.pad(x, [0, 0, *w.begins], [0, 0, *w.ends], fill)
    n, channels, *size = padded.shape
    dense = [math.prod(size[i + 1 :]) for i in range(len(size))]
    steps = [channels * math.prod(size), math.prod(size)]
    steps += [d * s for d, s in zip(w.dilations, dense, strict=True)]
    steps += [d * s for d, s in zip(w.strides, dense, strict=True)]
    return c.b.view(padded, (n, channels, *w.kernel, *w.out), 0, steps)


def convolution(c: Call, x: Value, weights: Value, w: Window, groups: int) -> Value:
    """Without bias."""
    b = c.b
    n, channels = x.shape[:2]
    out_channels, depth = weights.shape[0], math.prod(weights.shape[1:])
    columns = b.reshape(
        windows(c, x, w, b.like(0, x)), (n, groups, channels // groups * math.prod(w.kernel), math.prod(w.out))
    )
    rows = b.reshape(weights, (1, groups, out_channels // groups, depth))
    return b.reshape(b.dot(rows, columns), (n, out_channels, *w.out))


def _with_bias(c: Call, y: Value, bias: Value | None) -> Value:
    return y if bias is None else c.b.binary("add", y, c.b.reshape(bias, (*bias.shape, *[1] * (y.rank - 2))))


def _conv(c: Call) -> Value:
    weights = c.need(1)
    window = window_of(c, weights.shape[2:])
    return _with_bias(c, convolution(c, c.x, weights, window, c.attribute("group", 1)), c.optional(2))


def _conv_transpose(c: Call) -> Value:
    b, x, weights = c.b, c.x, c.need(1)
    groups, spatial = c.attribute("group", 1), x.rank - 2
    kernel = list(weights.shape[2:])
    strides = list(c.attribute("strides", [1] * spatial))
    dilations = list(c.attribute("dilations", [1] * spatial))
    extra = list(c.attribute("output_padding", [0] * spatial))
    pads = list(c.attribute("pads", [0] * (2 * spatial)))
    wanted = c.attribute("output_shape")
    mode = c.attribute("auto_pad", "NOTSET")
    extents = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    for i in range(spatial):
        full = strides[i] * (x.shape[2 + i] - 1) + extra[i] + extents[i]
        if wanted is None and mode not in ("SAME_UPPER", "SAME_LOWER"):
            continue
        target = wanted[-spatial:][i] if wanted is not None else x.shape[2 + i] * strides[i]
        total = full - target
        # Fewer than no pads: the output grows at its end by what no input reaches.
        pads[i] = total // 2 if mode == "SAME_UPPER" else total - total // 2
        pads[i + spatial] = total - pads[i]
    begins = [e - 1 - p for e, p in zip(extents, pads[:spatial], strict=True)]
    ends = [e - 1 - p + o for e, p, o in zip(extents, pads[spatial:], extra, strict=True)]
    grown = b.pad(
        x,
        [0, 0, *[max(n, 0) for n in begins]],
        [0, 0, *[max(n, 0) for n in ends]],
        b.like(0, x),
        spread=[1, 1, *strides],
    )
    if min(begins + ends) < 0:
        starts = [0, 0, *[max(-n, 0) for n in begins]]
        sizes = [
            *grown.shape[:2],
            *[n - max(-p, 0) - max(-q, 0) for n, p, q in zip(grown.shape[2:], begins, ends, strict=True)],
        ]
        grown = b.slice(grown, starts, sizes, [1] * x.rank)
    # [C, O/g, k...] -> [O, C/g, k...], turned around.
    channels, per_group = weights.shape[:2]
    turned = b.slice(weights, [0, 0, *[k - 1 for k in kernel]], weights.shape, [1, 1, *[-1] * spatial])
    turned = b.reshape(turned, (groups, channels // groups, per_group, *kernel))
    turned = b.transpose(turned, (0, 2, 1, *range(3, 3 + spatial)))
    turned = b.reshape(turned, (groups * per_group, channels // groups, *kernel))
    out = [n - e + 1 for n, e in zip(grown.shape[2:], extents, strict=True)]
    none = [0] * spatial
    window = Window(kernel, [1] * spatial, dilations, none, none, out)
    return _with_bias(c, convolution(c, grown, turned, window, groups), c.optional(2))


def _flat_windows(c: Call, x: Value, w: Window, fill: Value) -> Value:
    """[N, C, taps, *out]."""
    view = windows(c, x, w, fill)
    return c.b.reshape(view, (*x.shape[:2], math.prod(w.kernel), *w.out))


def _lowest(x: Value) -> float:
    return -np.inf if x.is_float else float(np.iinfo(x.dtype).min)


def _tap(at: tuple[int, ...], w: Window) -> tuple[slice, ...]:
    """Where one tap of every window stands, in the padded input."""
    starts = [k * d for k, d in zip(at, w.dilations, strict=True)]
    return tuple(slice(a, a + (o - 1) * s + 1, s) for a, o, s in zip(starts, w.out, w.strides, strict=True))


def _max_pool(c: Call) -> Sequence[Value | None]:
    b, x = c.b, c.x
    w = window_of(c, c.attribute("kernel_shape"))
    taps = _flat_windows(c, x, w, b.constant(np.array(_lowest(x)).astype(x.dtype)))
    y = b.reduce("max", taps, [2], keepdims=False)
    if not c.has_output(1):
        return [y]
    best = b.reshape(b.arg_reduce(taps, 2, largest=True), (*x.shape[:2], math.prod(w.out)))
    # Position in the input of every tap of every window, then of the best tap.
    size = x.shape[2:]
    flat_numbers = np.arange(math.prod(size))
    numbers = flat_numbers.reshape(size[::-1]).T if c.attribute("storage_order", 0) else flat_numbers.reshape(size)
    numbers = np.pad(numbers, list(zip(w.begins, w.ends, strict=True)), constant_values=-1)
    grid = np.stack([numbers[_tap(at, w)].reshape(-1) for at in np.ndindex(*w.kernel)])
    columns = b.constant(np.arange(grid.shape[1], dtype=np.int64))
    flat = b.binary("add", b.binary("mul", best, b.constant(np.int64(grid.shape[1]))), columns)
    inside = b.gather(b.constant(np.maximum(grid.reshape(-1), 0).astype(np.int64)), flat, 0)
    planes = b.constant((np.arange(math.prod(x.shape[:2])) * math.prod(size)).reshape(*x.shape[:2], 1).astype(np.int64))
    return [y, b.reshape(b.binary("add", inside, planes), y.shape)]


def _average_pool(c: Call) -> Value:
    b, x = c.b, c.x
    w = window_of(c, c.attribute("kernel_shape"))
    total = b.reduce("sum", _flat_windows(c, x, w, b.like(0, x)), [2], keepdims=False)
    counts = np.ones(1)
    for i, size in enumerate(x.shape[2:]):
        first = np.arange(w.out[i]) * w.strides[i] - w.begins[i]
        taps = first[:, None] + np.arange(w.kernel[i]) * w.dilations[i]
        low, high = 0, size
        if c.attribute("count_include_pad", 0):
            low, high = -w.begins[i], size + (c.attribute("pads") or [0] * 99)[i + len(w.kernel)]
            if c.attribute("auto_pad", "NOTSET") != "NOTSET":
                high = size + w.ends[i]
        counts = np.multiply.outer(counts, ((taps >= low) & (taps < high)).sum(1))
    return b.binary("div", total, b.constant(counts.reshape(w.out).astype(x.dtype)))


def _lp_pool(c: Call) -> Value:
    b, x, p = c.b, c.x, c.attribute("p", 2)
    w = window_of(c, c.attribute("kernel_shape"))
    taps = _flat_windows(c, x, w, b.like(0, x))
    if p == 1:
        return b.reduce("sum_abs", taps, [2], keepdims=False)
    if p == 2:
        return b.unary("sqrt", b.reduce("sum_square", taps, [2], keepdims=False))
    powers = b.binary("pow", b.unary("abs", taps), b.like(p, x))
    return b.binary("pow", b.reduce("sum", powers, [2], keepdims=False), b.like(1 / p, x))


def _global_pool(function: str) -> Callable[[Call], Value]:
    return lambda c: c.b.reduce(function, c.x, range(2, c.x.rank))


def _einsum(c: Call) -> Value:
    b = c.b
    equation = c.attribute("equation").replace(" ", "")
    left, _, right = equation.partition("->")
    terms = left.split(",")
    values = [v for v in c.inputs if v is not None]
    free = "ABCDEFGH"  # stand for the axes of an ellipsis
    width = max(
        (v.rank - len(t.replace("...", "")) for t, v in zip(terms, values, strict=True) if "..." in t), default=0
    )
    names = [
        t.replace("...", free[width - (v.rank - len(t.replace("...", ""))) : width])
        for t, v in zip(terms, values, strict=True)
    ]
    if "->" in equation:
        out = right.replace("...", free[:width])
    else:
        joined = "".join(names)
        out = free[:width] + "".join(sorted(n for n in set(joined) if joined.count(n) == 1 and n not in free))
    order = list(out) + sorted(set("".join(names)) - set(out))
    factors = []
    for name, value in zip(names, values, strict=True):
        axes = sorted(set(name), key=order.index)
        dense = [math.prod(value.shape[i + 1 :]) for i in range(value.rank)]
        # A letter that stands twice walks the diagonal.
        steps = [sum(d for d, n in zip(dense, name, strict=True) if n == axis) for axis in axes]
        sizes = [value.shape[name.index(axis)] for axis in axes]
        diagonal = b.view(value, tuple(sizes), 0, steps)
        factors.append(b.reshape(diagonal, [value.shape[name.index(n)] if n in name else 1 for n in order]))
    total = reduce(lambda a, z: b.binary("mul", a, z), factors)
    if len(order) == len(out):
        return total
    return b.reduce("sum", total, range(len(out), len(order)), keepdims=False)


RULES: Final[dict[str, Callable[[Call], Value | Sequence[Value | None]]]] = {
    "MatMul": lambda c: matmul(c, c.need(0), c.need(1)),
    "Gemm": _gemm,
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "MaxPool": _max_pool,
    "AveragePool": _average_pool,
    "LpPool": _lp_pool,
    "GlobalAveragePool": _global_pool("mean"),
    "GlobalMaxPool": _global_pool("max"),
    "Einsum": _einsum,
}
