# SPDX-License-Identifier: Apache-2.0
"""Lowering of operators that work element by element."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Final

import numpy as np
from onnx import helper

from edgeml.artifact.elementwise import INTEGER_UNARY
from edgeml.convert.plain.builder import PlainBuilder, Value
from edgeml.convert.plain.lowering import Call, Rule

_UNARY: Final = {
    "Neg": "neg", "Abs": "abs", "Sign": "sign", "Floor": "floor", "Ceil": "ceil", "Round": "round", "Sqrt": "sqrt",
    "Exp": "exp", "Log": "log", "Sin": "sin", "Cos": "cos", "Tan": "tan", "Asin": "asin", "Acos": "acos", "Atan": "atan",
    "Sinh": "sinh", "Cosh": "cosh", "Tanh": "tanh", "Asinh": "asinh", "Acosh": "acosh", "Atanh": "atanh", "Erf": "erf",
    "Sigmoid": "sigmoid", "Softplus": "softplus", "BitwiseNot": "bit_not",
}  # fmt: skip
_BINARY: Final = {
    "Add": "add", "Sub": "sub", "Mul": "mul", "Div": "div", "And": "bit_and", "Or": "bit_or", "Xor": "bit_xor",
    "BitwiseAnd": "bit_and", "BitwiseOr": "bit_or", "BitwiseXor": "bit_xor", "Equal": "equal", "Less": "less",
    "LessOrEqual": "less_equal", "PRelu": "",
}  # fmt: skip


def _legacy_broadcast(c: Call, a: Value, b: Value) -> Value:
    """Before opset 7 `axis` said where the second input's axes begin."""
    axis = c.attribute("axis")
    if c.opset >= 7 or axis is None or b.rank == a.rank:
        return b
    return c.b.reshape(b, (*b.shape, *[1] * (a.rank - axis - b.rank)))


def _unary(c: Call) -> Value:
    return unary(c.b, _UNARY[c.node.op_type], c.x)


def unary(b: PlainBuilder, function: str, x: Value) -> Value:
    """A function of elementwise.def; unchanged where it is the identity on integers."""
    if not x.is_float and function not in INTEGER_UNARY:
        return (
            x if function in ("floor", "ceil", "round") else b.cast(unary(b, function, b.cast(x, np.float64)), x.dtype)
        )
    if x.dtype.kind in "ub" and function == "abs":
        return x
    return b.unary(function, x)


def _binary(c: Call) -> Value:
    a, z = c.need(0), c.need(1)
    return c.b.binary(_BINARY[c.node.op_type], a, _legacy_broadcast(c, a, z))


def _swapped(function: str) -> Rule:
    return lambda c: c.b.binary(function, c.need(1), c.need(0))


def _many(function: str) -> Rule:
    def rule(c: Call) -> Value:
        values = [value for value in c.inputs if value is not None]
        return reduce(lambda a, z: c.b.binary(function, a, z), values)

    return rule


def _mean(c: Call) -> Value:
    total = reduce(lambda a, z: c.b.binary("add", a, z), [value for value in c.inputs if value is not None])
    return c.b.binary("div", total, c.b.like(len(c.inputs), total))


def _mod(c: Call) -> Value:
    return c.b.binary("fmod" if c.attribute("fmod", 0) else "floor_mod", c.need(0), c.need(1))


def _pow(c: Call) -> Value:
    x, y = c.need(0), c.need(1)
    if x.dtype == y.dtype:
        return c.b.binary("pow", x, y)
    if x.is_float or not y.is_float:
        return c.b.binary("pow", x, c.b.cast(y, x.dtype))
    return c.b.cast(c.b.binary("pow", c.b.cast(x, np.float64), c.b.cast(y, np.float64)), x.dtype)


def _bit_shift(c: Call) -> Value:
    function = "shift_left" if c.attribute("direction") == "LEFT" else "shift_right"
    return c.b.binary(function, c.need(0), c.need(1))


def _clip(c: Call) -> Value:
    x = c.x
    for at, (name, function) in enumerate((("min", "max"), ("max", "min")), 1):
        bound = c.optional(at)
        if bound is None and c.attribute(name) is not None:
            bound = c.b.like(c.attribute(name), x)
        if bound is not None:
            x = c.b.binary(function, x, bound)
    return x


def _relu(c: Call) -> Value:
    return c.b.binary("max", c.x, c.b.like(0, c.x))


def _prelu(c: Call) -> Value:
    x, slope = c.need(0), c.need(1)
    if slope.rank == 1 and x.rank > 2 and slope.shape[0] == x.shape[1] != x.shape[-1]:
        slope = c.b.reshape(slope, (*slope.shape, *[1] * (x.rank - 2)))  # the older, unidirectional form
    return c.b.select(c.b.binary("less", x, c.b.like(0, x)), c.b.binary("mul", x, slope), x)


def _leaky_relu(c: Call) -> Value:
    scaled = c.b.binary("mul", c.x, c.b.like(c.attribute("alpha", 0.01), c.x))
    return c.b.select(c.b.binary("less", c.x, c.b.like(0, c.x)), scaled, c.x)


def _elu(c: Call) -> Value:
    x = c.x
    grown = c.b.binary("sub", c.b.unary("exp", x), c.b.like(1, x))
    grown = c.b.binary("mul", grown, c.b.like(c.attribute("alpha", 1.0), x))
    return c.b.select(c.b.binary("less", x, c.b.like(0, x)), grown, x)


def _selu(c: Call) -> Value:
    x = c.x
    alpha, gamma = c.attribute("alpha", 1.67326319217681884765625), c.attribute("gamma", 1.05070102214813232421875)
    grown = c.b.binary("mul", c.b.binary("sub", c.b.unary("exp", x), c.b.like(1, x)), c.b.like(alpha, x))
    return c.b.binary("mul", c.b.select(c.b.binary("less", c.b.like(0, x), x), x, grown), c.b.like(gamma, x))


def _hard_sigmoid(c: Call) -> Value:
    x = c.b.binary("mul", c.x, c.b.like(c.attribute("alpha", 0.2), c.x))
    x = c.b.binary("add", x, c.b.like(c.attribute("beta", 0.5), x))
    return c.b.binary("max", c.b.like(0, x), c.b.binary("min", c.b.like(1, x), x))


def _softsign(c: Call) -> Value:
    return c.b.binary("div", c.x, c.b.binary("add", c.b.unary("abs", c.x), c.b.like(1, c.x)))


def _reciprocal(c: Call) -> Value:
    return c.b.binary("div", c.b.like(1, c.x), c.x)


def _is_nan(c: Call) -> Value:
    return c.b.logical_not(c.b.binary("equal", c.x, c.x))


def _is_inf(c: Call) -> Value:
    found = [
        c.b.binary("equal", c.x, c.b.like(value, c.x))
        for name, value in (("detect_positive", np.inf), ("detect_negative", -np.inf))
        if c.attribute(name, 1)
    ]
    if not found:
        return c.b.expand(c.b.constant(False), c.x.shape)
    return found[0] if len(found) == 1 else c.b.binary("bit_or", *found)


def _cast(c: Call) -> Value:
    kind = helper.tensor_dtype_to_np_dtype(c.attribute("to"))
    return c.b.cast(c.x, kind)


def _cast_like(c: Call) -> Value:
    return c.b.cast(c.x, c.need(1).dtype)


def _bit_cast(c: Call) -> Value:
    kind = np.dtype(helper.tensor_dtype_to_np_dtype(c.attribute("to")))
    if kind.itemsize != c.x.dtype.itemsize:
        raise c.unsupported("changes the size of an element")
    return c.b.bitcast(c.x, kind)


def _gelu(c: Call) -> Value:
    b, x = c.b, c.x
    half = b.binary("mul", x, b.like(0.5, x))
    if c.attribute("approximate", "none") == "tanh":
        cube = b.binary("mul", b.binary("mul", b.binary("mul", x, x), x), b.like(0.044715, x))
        gate = b.unary("tanh", b.binary("mul", b.binary("add", x, cube), b.like(np.sqrt(2 / np.pi), x)))
    else:
        gate = b.unary("erf", b.binary("mul", x, b.like(np.sqrt(0.5), x)))
    return b.binary("mul", half, b.binary("add", gate, b.like(1, x)))


def _where(c: Call) -> Value:
    return c.b.select(c.need(0), c.need(1), c.need(2))


def _identity(c: Call) -> Value:
    return c.x


def _dropout(c: Call) -> Sequence[Value | None]:
    training = c.optional(2)
    ratio = c.optional(1)
    if training is not None and bool(training.known()) and (ratio is None or float(ratio.known()) != 0):
        raise c.unsupported("drops values at random", "export the model for inference")
    return [c.x, c.b.expand(c.b.constant(True), c.x.shape) if c.has_output(1) else None]


RULES: Final[dict[str, Callable[[Call], Value | Sequence[Value | None]]]] = {
    **dict.fromkeys(_UNARY, _unary),
    **dict.fromkeys(_BINARY, _binary),
    "PRelu": _prelu,
    "Greater": _swapped("less"),
    "GreaterOrEqual": _swapped("less_equal"),
    "Not": lambda c: c.b.logical_not(c.x),
    "Max": _many("max"),
    "Min": _many("min"),
    "Sum": _many("add"),
    "Mean": _mean,
    "Mod": _mod,
    "Pow": _pow,
    "BitShift": _bit_shift,
    "Clip": _clip,
    "Relu": _relu,
    "LeakyRelu": _leaky_relu,
    "Elu": _elu,
    "Selu": _selu,
    "HardSigmoid": _hard_sigmoid,
    "Softsign": _softsign,
    "Reciprocal": _reciprocal,
    "IsNaN": _is_nan,
    "IsInf": _is_inf,
    "Cast": _cast,
    "CastLike": _cast_like,
    "BitCast": _bit_cast,
    "Gelu": _gelu,
    "Where": _where,
    "Identity": _identity,
    "Dropout": _dropout,
}
