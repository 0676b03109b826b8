# SPDX-License-Identifier: Apache-2.0
"""Evaluates an artifact in plain numpy, operator by operator: the readable twin of the C++ core.

Every function follows the section of docs/design/numerics.md that defines the operator, on logical arrays (no C4P, no memory
domain), so that it shares nothing with the kernels but the text. Results equal the core's with `==`.

Integer sums are taken with float64 matrix products: every product and partial sum is an integer below 2**53, so they are exact.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from edgeml.artifact.elementwise import BINARY
from edgeml.artifact.model import Graph, Node, Tensor
from edgeml.errors import InputError

Array = npt.NDArray[Any]
F32 = np.float32


class _Call(NamedTuple):
    """One node with its tensors resolved: `values` are the input arrays, `x` and `y` the first input and the output."""

    node: Node
    x: Tensor
    y: Tensor
    inputs: tuple[Tensor, ...]
    values: tuple[Array, ...]
    batch: int


def requantize(acc: Array, multiplier: Array | np.float32, lo: int, hi: int, zero_point: int) -> Array:
    """int32 accumulator -> int8 (numerics.md, section 4).

    acc is an integer array, multiplier float32 and broadcast against it; lo and hi are act_min and act_max in the quantized domain
    of the output. One float32 product, rounded to nearest even, clamped, then the zero point is added as an integer.
    """
    return _round(acc.astype(F32) * multiplier, lo, hi, zero_point)


def evaluate(graph: Graph, feed: Mapping[str, Array]) -> dict[str, Array]:
    """Run a graph on arrays by input name; returns the arrays of the graph outputs by name.

    Raises:
        InputError: an input is missing.
    """
    values: dict[int, Array] = {i: t.data for i, t in enumerate(graph.tensors) if t.data is not None}
    for index in graph.inputs:
        name = graph.tensors[index].name
        if name not in feed:
            raise InputError(
                f"input {name!r} is missing; the model takes {[graph.tensors[i].name for i in graph.inputs]}"
            )
        values[index] = np.asarray(feed[name])
    batch = len(values[graph.inputs[0]])
    for node in graph.nodes:
        inputs = tuple(graph.tensors[i] for i in node.inputs)
        arrays = tuple(values[i] for i in node.inputs)
        call = _Call(node, inputs[0], graph.tensors[node.outputs[0]], inputs, arrays, batch)
        values[node.outputs[0]] = OPERATORS[node.op](call)
    return {graph.tensors[i].name: values[i] for i in graph.outputs}


def _round(p: Array, lo: int, hi: int, zero_point: int) -> Array:
    clamped = np.clip(np.rint(p), lo - zero_point, hi - zero_point)
    return (clamped.astype(np.int32) + zero_point).astype(np.int8)


def _centred(x: Array, zero_point: int) -> Array:
    return x.astype(np.int32) - zero_point


def _quantize(c: _Call) -> Array:
    ratio = np.nan_to_num(c.values[0].astype(F32) / F32(c.y.scale), nan=0.0, posinf=np.inf, neginf=-np.inf)
    return _round(ratio, -128, 127, c.y.zero_point)


def _dequantize(c: _Call) -> Array:
    y: Array = _centred(c.values[0], c.x.zero_point).astype(F32) * F32(c.x.scale)
    return y


def _windows(x: Array, kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]) -> Array:
    """View [N, C, out_h, out_w, kernel_h, kernel_w] of an already padded [N, C, H, W]."""
    extent = tuple((k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True))
    view = np.lib.stride_tricks.sliding_window_view(x, extent, axis=(2, 3))
    return view[:, :, :: stride[0], :: stride[1], :: dilation[0], :: dilation[1]]


def _pad_centred(c: _Call, pads: Sequence[int]) -> Array:
    top, left, bottom, right = pads
    return np.pad(_centred(c.values[0], c.x.zero_point), ((0, 0), (0, 0), (top, bottom), (left, right)))


def _conv2d(c: _Call) -> Array:
    *geometry, groups, lo, hi = c.node.attributes
    weights, bias, multiplier = c.values[1:]
    out_channels, kernel_h, kernel_w, group_channels = weights.shape
    view = _windows(_pad_centred(c, geometry[4:]), (kernel_h, kernel_w), geometry[:2], geometry[2:4])
    n, _, out_h, out_w = view.shape[:4]
    per_group = out_channels // groups
    acc = np.empty((n, out_channels, out_h, out_w), np.int64)
    for g in range(groups):
        columns = view[:, g * group_channels : (g + 1) * group_channels].transpose(0, 2, 3, 4, 5, 1)
        rows = slice(g * per_group, (g + 1) * per_group)
        product = columns.reshape(n * out_h * out_w, -1).astype(np.float64) @ weights[rows].reshape(
            per_group, -1
        ).T.astype(np.float64)
        acc[:, rows] = product.reshape(n, out_h, out_w, per_group).transpose(0, 3, 1, 2)
    acc += bias[:, None, None]
    return requantize(acc, multiplier[:, None, None], lo, hi, c.y.zero_point)


def _depthwise_conv2d(c: _Call) -> Array:
    *geometry, lo, hi = c.node.attributes
    weights, bias, multiplier = c.values[1:]
    kernel = weights.shape[:2]
    view = _windows(_pad_centred(c, geometry[4:]), kernel, geometry[:2], geometry[2:4])
    acc = np.broadcast_to(bias[:, None, None], view.shape[:4]).astype(np.int64)
    for y in range(kernel[0]):
        for x in range(kernel[1]):
            acc += view[..., y, x].astype(np.int64) * weights[y, x][:, None, None]
    return requantize(acc, multiplier[:, None, None], lo, hi, c.y.zero_point)


def _fully_connected(c: _Call) -> Array:
    lo, hi = c.node.attributes
    weights, bias, multiplier = c.values[1:]
    rows = np.moveaxis(_centred(c.values[0], c.x.zero_point), 1, -1)
    acc = (rows.astype(np.float64) @ weights.T.astype(np.float64)).astype(np.int64) + bias
    return np.moveaxis(requantize(acc, multiplier, lo, hi, c.y.zero_point), -1, 1)


def _add(c: _Call) -> Array:
    lo, hi = c.node.attributes
    a, b, multiplier = c.values
    left = _centred(a, c.inputs[0].zero_point).astype(F32) * multiplier[0]
    right = _centred(b, c.inputs[1].zero_point).astype(F32) * multiplier[1]
    return _round(left + right, lo, hi, c.y.zero_point)


def _average_pool2d(c: _Call) -> Array:
    kernel_h, kernel_w, stride_h, stride_w, top, left, _bottom, _right, lo, hi = c.node.attributes
    multiplier = c.values[1]
    _, _, in_h, in_w = c.x.dims
    out_h, out_w = c.y.dims[2:]
    # Padded up to the last window (ceil mode may need more than the declared pads); zeros add nothing to a centred sum.
    bottom = max(0, (out_h - 1) * stride_h + kernel_h - top - in_h)
    right = max(0, (out_w - 1) * stride_w + kernel_w - left - in_w)
    view = _windows(_pad_centred(c, (top, left, bottom, right)), (kernel_h, kernel_w), (stride_h, stride_w), (1, 1))
    acc = view[:, :, :out_h, :out_w].sum(axis=(4, 5), dtype=np.int64)
    taps = np.outer(_taps(out_h, stride_h, top, kernel_h, in_h), _taps(out_w, stride_w, left, kernel_w, in_w))
    return requantize(acc, multiplier[taps - 1], lo, hi, c.y.zero_point)


def _taps(count: int, stride: int, pad: int, kernel: int, size: int) -> npt.NDArray[np.int64]:
    """How many taps of each of `count` windows lie inside 0..size-1."""
    first = np.arange(count) * stride - pad
    return np.minimum(first + kernel, size) - np.maximum(first, 0)


def _max_pool2d(c: _Call) -> Array:
    kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w, top, left, _bottom, _right = c.node.attributes
    _, _, in_h, in_w = c.x.dims
    out_h, out_w = c.y.dims[2:]
    bottom = max(0, (out_h - 1) * stride_h + (kernel_h - 1) * dilation_h + 1 - top - in_h)
    right = max(0, (out_w - 1) * stride_w + (kernel_w - 1) * dilation_w + 1 - left - in_w)
    padded = np.pad(c.values[0], ((0, 0), (0, 0), (top, bottom), (left, right)), constant_values=-128)
    view = _windows(padded, (kernel_h, kernel_w), (stride_h, stride_w), (dilation_h, dilation_w))
    y: Array = view[:, :, :out_h, :out_w].max(axis=(4, 5))
    return y


def _lut(c: _Call) -> Array:
    x, table = c.values
    return table[x.astype(np.int32) + 128]


def _mul(c: _Call) -> Array:
    lo, hi = c.node.attributes
    a, b = (_centred(c.values[i], c.inputs[i].zero_point) for i in (0, 1))
    return requantize(a * b, c.values[2][0], lo, hi, c.y.zero_point)


def _matmul(c: _Call) -> Array:
    depth_axis, lo, hi = c.node.attributes
    a, b = (_centred(c.values[i], c.inputs[i].zero_point).astype(np.float64) for i in (0, 1))
    acc = (b.swapaxes(1, 2) if depth_axis == 1 else b) @ a
    return requantize(acc.astype(np.int64), c.values[2][0], lo, hi, c.y.zero_point)


def _layer_norm(c: _Call) -> Array:
    lo, hi = c.node.attributes
    q, n = _centred(c.values[0], c.x.zero_point).astype(np.int64), c.x.dims[1]
    gain, shift, epsilon = c.values[1:]
    total, squares = q.sum(axis=1, keepdims=True), (q * q).sum(axis=1, keepdims=True)
    mean = (total.astype(np.float64) / n).astype(F32)
    variance = (n * squares - total * total).astype(np.float64) / float(n * n)
    r = (1.0 / np.sqrt(variance + np.float64(epsilon[0]))).astype(F32)
    axes = (1, -1, *(1 for _ in c.x.dims[2:]))
    p = (q.astype(F32) - mean) * r * gain.reshape(axes) + shift.reshape(axes)
    return _round(p, lo, hi, c.y.zero_point)


def _constant(c: _Call) -> Array:
    return np.repeat(c.values[0], c.batch, axis=0)


def _take(c: _Call) -> Array:
    return np.take(c.values[0], c.values[1], axis=c.node.attributes[0])


def _resize_nearest(c: _Call) -> Array:
    x, rows, columns = c.values
    return x[:, :, rows][:, :, :, columns]


def _resize_linear(c: _Call) -> Array:
    lo, hi = c.node.attributes
    rows, row_weights, columns, column_weights, multiplier = c.values[1:]
    q = _centred(c.values[0], c.x.zero_point)
    along = q[..., columns[0::2]] * (1024 - column_weights) + q[..., columns[1::2]] * column_weights
    weights = row_weights[:, None]
    acc = along[:, :, rows[0::2]] * (1024 - weights) + along[:, :, rows[1::2]] * weights
    return requantize(acc, multiplier[0], lo, hi, c.y.zero_point)


def _softmax(c: _Call) -> Array:
    x, table = c.values
    wide = x.astype(np.int32)
    e: npt.NDArray[np.uint64] = table[wide.max(axis=1, keepdims=True) - wide].astype(np.uint64)
    s = e.sum(axis=1, keepdims=True)
    if c.y.dtype == np.float32:
        y: Array = (e.astype(np.float64) / s.astype(np.float64)).astype(F32)
        return y
    share: npt.NDArray[np.uint64] = (np.uint64(256) * e + s // np.uint64(2)) // s
    q: Array = (np.minimum(share, np.uint64(255)).astype(np.int32) - 128).astype(np.int8)
    return q


def _reshape(c: _Call) -> Array:
    return c.values[0].reshape(len(c.values[0]), *c.y.dims[1:])


def _concat(c: _Call) -> Array:
    return np.concatenate(c.values, axis=c.node.attributes[0])


def _pad(c: _Call) -> Array:
    rank = c.values[0].ndim
    begin, end, value = c.node.attributes[:rank], c.node.attributes[8 : 8 + rank], c.node.attributes[16]
    return np.pad(c.values[0], list(zip(begin, end, strict=True)), constant_values=np.int8(value))


def _slice(c: _Call) -> Array:
    rank = c.values[0].ndim
    start, step = c.node.attributes[:rank], c.node.attributes[8 : 8 + rank]
    extents = (len(c.values[0]), *c.y.dims[1:])
    index = tuple(slice(a, a + (n - 1) * s + 1, s) for a, s, n in zip(start, step, extents, strict=True))
    return c.values[0][index]


def _transpose(c: _Call) -> Array:
    y: Array = c.values[0].transpose(c.node.attributes[: c.values[0].ndim])
    return y


def _rescale(c: _Call) -> Array:
    lo, hi = c.node.attributes
    return requantize(_centred(c.values[0], c.x.zero_point), c.values[1][0], lo, hi, c.y.zero_point)


def _binary(c: _Call) -> Array:
    """Of the plain operators only arithmetic of float32: rounding a binary64 result to float32 is the float32 result."""
    function = _ARITHMETIC[c.node.attributes[0]]
    a, b = c.values
    result: Array = function(a, b, dtype=F32)
    return result


def _view_copy(c: _Call) -> Array:
    """Elements offset + sum of index times step; of each item of a free batch by itself."""
    offset, *steps = c.node.attributes
    dims = c.y.item_dims
    positions = np.full(dims, offset, np.int64)
    for axis, (size, step) in enumerate(zip(dims, steps, strict=False)):
        positions += (np.arange(size) * step).reshape(-1, *(1 for _ in dims[axis + 1 :]))
    if c.y.dims[:1] == (0,):
        return c.values[0].reshape(c.batch, -1)[:, positions.reshape(-1)].reshape(c.batch, *dims[1:])
    return c.values[0].reshape(-1)[positions]


_ARITHMETIC: Final = {
    BINARY[name]: function
    for name, function in (("add", np.add), ("sub", np.subtract), ("mul", np.multiply), ("div", np.divide))
}
OPERATORS: Final[dict[str, Callable[[_Call], Array]]] = {
    "quantize": _quantize,
    "dequantize": _dequantize,
    "conv2d": _conv2d,
    "depthwise_conv2d": _depthwise_conv2d,
    "fully_connected": _fully_connected,
    "add": _add,
    "average_pool2d": _average_pool2d,
    "max_pool2d": _max_pool2d,
    "lut": _lut,
    "softmax": _softmax,
    "reshape": _reshape,
    "concat": _concat,
    "pad": _pad,
    "slice": _slice,
    "transpose": _transpose,
    "rescale": _rescale,
    "mul": _mul,
    "matmul": _matmul,
    "layer_norm": _layer_norm,
    "constant": _constant,
    "take": _take,
    "resize_nearest": _resize_nearest,
    "resize_linear": _resize_linear,
    "binary": _binary,
    "view_copy": _view_copy,
}
