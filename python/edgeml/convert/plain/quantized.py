# SPDX-License-Identifier: Apache-2.0
"""Lowering of quantization operators: integers stay exact, scales are applied in binary64 where ONNX asks for no rounding between."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from onnx import helper

from edgeml.convert.plain.builder import Value
from edgeml.convert.plain.lowering import Call
from edgeml.convert.plain.windows import convolution, matmul, window_of


def _along(c: Call, parameter: Value, x: Value, axis: int) -> Value:
    """A scale or zero point of one value per tensor, per position of an axis, or per block along it."""
    b = c.b
    block = c.attribute("block_size", 0)
    if block and parameter.rank == x.rank:
        split = [*parameter.shape[: axis + 1], 1, *parameter.shape[axis + 1 :]]
        many = [*parameter.shape[: axis + 1], block, *parameter.shape[axis + 1 :]]
        joined = [*parameter.shape[:axis], parameter.shape[axis] * block, *parameter.shape[axis + 1 :]]
        spread = b.reshape(b.expand(b.reshape(parameter, split), many), joined)
        return b.take(spread, axis, 0, x.shape[axis])
    if parameter.size == 1:
        return b.reshape(parameter, ())
    shape = [1] * x.rank
    shape[axis] = parameter.size
    return b.reshape(parameter, shape)


def _saturated(c: Call, rounded: Value, zero_point: Value, dtype: np.dtype[Any]) -> Value:
    b = c.b
    info = np.iinfo(dtype)
    shifted = b.binary("add", rounded, b.cast(zero_point, rounded.dtype))
    held = b.binary("min", b.binary("max", shifted, b.like(info.min, shifted)), b.like(info.max, shifted))
    return b.cast(held, dtype)


def _quantize_linear(c: Call) -> Value:
    b, x = c.b, c.x
    axis = c.attribute("axis", 1)
    axis = axis % x.rank if x.rank else 0
    zero = c.optional(2)
    kind = c.attribute("output_dtype", 0)
    dtype = (
        zero.dtype
        if zero is not None
        else np.dtype(helper.tensor_dtype_to_np_dtype(kind))
        if kind
        else np.dtype(np.uint8)
    )
    zero_point = b.constant(np.zeros((), dtype)) if zero is None else _along(c, zero, x, axis)
    scale = _along(c, b.cast(c.need(1), x.dtype), x, axis)
    rounded = b.unary("round", b.binary("div", x, scale))
    return _saturated(c, b.cast(rounded, np.float64), zero_point, dtype)


def _dequantize_linear(c: Call) -> Value:
    b, x, scale = c.b, c.x, c.need(1)
    axis = c.attribute("axis", 1)
    axis = axis % x.rank if x.rank else 0
    wide = b.cast(x, np.int64)
    zero = c.optional(2)
    if zero is not None:
        wide = b.binary("sub", wide, b.cast(_along(c, zero, x, axis), np.int64))
    kind = c.attribute("output_dtype", 0)
    dtype = np.dtype(helper.tensor_dtype_to_np_dtype(kind)) if kind else scale.dtype
    return b.cast(b.binary("mul", b.cast(wide, scale.dtype), _along(c, scale, x, axis)), dtype)


def _centred(c: Call, x: Value, zero: Value | None, *, axis: int | None) -> Value:
    """The tensor minus its zero point as int32; a zero point per position belongs to `axis`."""
    b = c.b
    wide = b.cast(x, np.int32)
    if zero is None:
        return wide
    if zero.size == 1:
        zero = b.reshape(zero, ())
    elif axis is not None and zero.rank == 1:
        shape = [1] * x.rank
        shape[axis] = zero.size
        zero = b.reshape(zero, shape)
    return b.binary("sub", wide, b.cast(zero, np.int32))


def _matmul_integer(c: Call) -> Value:
    a, z = c.need(0), c.need(1)
    left = _centred(c, a, c.optional(2), axis=max(a.rank - 2, 0))
    return matmul(c, left, _centred(c, z, c.optional(3), axis=z.rank - 1))


def _conv_integer(c: Call) -> Value:
    weights = c.need(1)
    x = _centred(c, c.x, c.optional(2), axis=None)
    window = window_of(c, weights.shape[2:])
    return convolution(c, x, _centred(c, weights, c.optional(3), axis=0), window, c.attribute("group", 1))


def _requantized(c: Call, total: Value, scales: tuple[Value, Value, Value], zero: Value) -> Value:
    b = c.b
    x_scale, w_scale, y_scale = (b.cast(s if s.size > 1 else b.reshape(s, ()), np.float64) for s in scales)
    factor = b.binary("div", b.binary("mul", x_scale, w_scale), y_scale)
    if factor.rank == 1:
        factor = b.reshape(factor, (factor.size, *[1] * (total.rank - 2)))
    rounded = b.unary("round", b.binary("mul", b.cast(total, np.float64), factor))
    return _saturated(c, rounded, b.reshape(zero, ()), zero.dtype)


def _qlinear_conv(c: Call) -> Value:
    weights = c.need(3)
    x = _centred(c, c.x, c.need(2), axis=None)
    window = window_of(c, weights.shape[2:])
    total = convolution(c, x, _centred(c, weights, c.need(5), axis=0), window, c.attribute("group", 1))
    bias = c.optional(8)
    if bias is not None:
        total = c.b.binary("add", total, c.b.reshape(bias, (bias.size, *[1] * (total.rank - 2))))
    return _requantized(c, total, (c.need(1), c.need(4), c.need(6)), c.need(7))


def _qlinear_matmul(c: Call) -> Value:
    a, z = c.need(0), c.need(3)
    left = _centred(c, a, c.need(2), axis=max(a.rank - 2, 0))
    total = matmul(c, left, _centred(c, z, c.need(5), axis=z.rank - 1))
    return _requantized(c, total, (c.need(1), c.need(4), c.need(6)), c.need(7))


RULES: Final[dict[str, Callable[[Call], Value]]] = {
    "QuantizeLinear": _quantize_linear,
    "DequantizeLinear": _dequantize_linear,
    "MatMulInteger": _matmul_integer,
    "ConvInteger": _conv_integer,
    "QLinearConv": _qlinear_conv,
    "QLinearMatMul": _qlinear_matmul,
}
