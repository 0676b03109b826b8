# SPDX-License-Identifier: Apache-2.0
"""Lowering of RNN, GRU and LSTM: the steps of the sequence are unrolled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import numpy as np

from edgeml.convert.plain.builder import Value
from edgeml.convert.plain.lowering import Call

_FUNCTIONS: Final = {"Sigmoid": "sigmoid", "Tanh": "tanh", "Softplus": "softplus"}


class _Direction(NamedTuple):
    """Weights of one direction, transposed for a product from the left."""

    w: Value  # [input, gates * hidden]
    r: Value  # [hidden, gates * hidden]
    w_bias: Value | None
    r_bias: Value | None
    functions: list[str]


def _activation(c: Call, name: str, x: Value) -> Value:
    if name == "Relu":
        return c.b.binary("max", x, c.b.like(0, x))
    if name not in _FUNCTIONS:
        raise c.unsupported(f"uses the activation {name}", "export with Sigmoid, Tanh or Relu")
    return c.b.unary(_FUNCTIONS[name], x)


def _direction(c: Call, d: int, gates: int, hidden: int, functions: list[str]) -> _Direction:
    b = c.b

    def part(at: int) -> Value:
        value = c.need(at)
        return b.reshape(b.take(value, 0, d), value.shape[1:])

    bias = None if c.optional(3) is None else part(3)
    halves = [None, None] if bias is None else [b.take(bias, 0, i * gates * hidden, gates * hidden) for i in (0, 1)]
    return _Direction(b.transpose(part(1), (1, 0)), b.transpose(part(2), (1, 0)), halves[0], halves[1], functions)


def _biased(c: Call, x: Value, bias: Value | None) -> Value:
    return x if bias is None else c.b.binary("add", x, bias)


def _gate(c: Call, x: Value, at: int, hidden: int) -> Value:
    return c.b.take(x, 1, at * hidden, hidden)


def _clipped(c: Call, x: Value) -> Value:
    clip = c.attribute("clip")
    if clip is None:
        return x
    return c.b.binary("min", c.b.binary("max", x, c.b.like(-clip, x)), c.b.like(clip, x))


def _rnn_step(c: Call, x: Value, h: Value, _cell: Value, p: _Direction, _hidden: int) -> tuple[Value, Value]:
    b = c.b
    total = b.binary("add", _biased(c, b.dot(x, p.w), p.w_bias), _biased(c, b.dot(h, p.r), p.r_bias))
    return _activation(c, p.functions[0], _clipped(c, total)), _cell


def _gru_step(c: Call, x: Value, h: Value, cell: Value, p: _Direction, n: int) -> tuple[Value, Value]:
    b = c.b
    xs, hs = _biased(c, b.dot(x, p.w), p.w_bias), b.dot(h, p.r)
    hs_biased = _biased(c, hs, p.r_bias)
    z = _activation(c, p.functions[0], _clipped(c, b.binary("add", _gate(c, xs, 0, n), _gate(c, hs_biased, 0, n))))
    r = _activation(c, p.functions[0], _clipped(c, b.binary("add", _gate(c, xs, 1, n), _gate(c, hs_biased, 1, n))))
    if c.attribute("linear_before_reset", 0):
        inner = b.binary("mul", r, _gate(c, hs_biased, 2, n))
    else:
        inner = b.dot(b.binary("mul", r, h), b.take(p.r, 1, 2 * n, n))
        if p.r_bias is not None:
            inner = b.binary("add", inner, b.take(p.r_bias, 0, 2 * n, n))
    new = _activation(c, p.functions[1], _clipped(c, b.binary("add", _gate(c, xs, 2, n), inner)))
    fresh = b.binary("mul", b.binary("sub", b.like(1, z), z), new)
    return b.binary("add", fresh, b.binary("mul", z, h)), cell


def _lstm_step(c: Call, x: Value, h: Value, cell: Value, p: _Direction, n: int) -> tuple[Value, Value]:
    b = c.b
    gates = b.binary("add", _biased(c, b.dot(x, p.w), p.w_bias), _biased(c, b.dot(h, p.r), p.r_bias))
    peep = c.optional(7)

    def peeped(value: Value, at: int, state: Value) -> Value:
        if peep is None:
            return value
        weights = b.take(b.reshape(peep, (peep.size,)), 0, at * n, n)
        return b.binary("add", value, b.binary("mul", weights, state))

    i = _activation(c, p.functions[0], _clipped(c, peeped(_gate(c, gates, 0, n), 0, cell)))
    f = _activation(c, p.functions[0], _clipped(c, peeped(_gate(c, gates, 2, n), 2, cell)))
    new = _activation(c, p.functions[1], _clipped(c, _gate(c, gates, 3, n)))
    cell = b.binary("add", b.binary("mul", f, cell), b.binary("mul", i, new))
    o = _activation(c, p.functions[0], _clipped(c, peeped(_gate(c, gates, 1, n), 1, cell)))
    return b.binary("mul", o, _activation(c, p.functions[2], cell)), cell


_Step = Callable[[Call, Value, Value, Value, _Direction, int], tuple[Value, Value]]


def _recurrent(gates: int, step: _Step, defaults: list[str]) -> Callable[[Call], Sequence[Value | None]]:
    def rule(c: Call) -> Sequence[Value | None]:
        b, x = c.b, c.x
        hidden = c.attribute("hidden_size") or c.need(2).shape[-1]
        batch_first = bool(c.attribute("layout", 0))
        if batch_first:
            x = b.transpose(x, (1, 0, 2))
        length, batch, _ = x.shape
        direction = c.attribute("direction", "forward")
        count = 2 if direction == "bidirectional" else 1
        if c.optional(7) is not None and count == 2:
            raise c.unsupported("has peepholes in two directions")
        functions = list(c.attribute("activations", defaults * count))
        lengths = c.optional(4)
        finals: list[tuple[Value, Value]] = []
        lines: list[list[Value]] = []
        for d in range(count):
            weights = _direction(c, d, gates, hidden, functions[d * len(defaults) :])
            h, cell = (_initial(c, at, d, batch, hidden, batch_first=batch_first) for at in (5, 6))
            backwards = direction == "reverse" or d == 1
            line: list[Value | None] = [None] * length
            for t in reversed(range(length)) if backwards else range(length):
                now = b.reshape(b.take(x, 0, t), x.shape[1:])
                new_h, new_cell = step(c, now, h, cell, weights, hidden)
                line[t] = new_h
                if lengths is not None:
                    active = b.reshape(b.binary("less", b.constant(np.array(t, lengths.dtype)), lengths), (batch, 1))
                    line[t] = b.select(active, new_h, b.like(0, new_h))
                    new_h, new_cell = b.select(active, new_h, h), b.select(active, new_cell, cell)
                h, cell = new_h, new_cell
            lines.append([value for value in line if value is not None])
            finals.append((h, cell))
        every = b.concat([b.reshape(b.concat(line, 0), (length, 1, batch, hidden)) for line in lines], 1)
        last = [b.concat([b.reshape(final[i], (1, batch, hidden)) for final in finals], 0) for i in (0, 1)]
        if batch_first:
            every = b.transpose(every, (2, 0, 1, 3))
            last = [b.transpose(value, (1, 0, 2)) for value in last]
        return [every, *last[: 2 if gates == 4 else 1]]

    return rule


def _initial(c: Call, at: int, d: int, batch: int, hidden: int, *, batch_first: bool) -> Value:
    value = c.optional(at)
    if value is None:
        return c.b.constant(np.zeros((batch, hidden), c.x.dtype))
    if batch_first:
        value = c.b.transpose(value, (1, 0, 2))
    return c.b.reshape(c.b.take(value, 0, d), (batch, hidden))


RULES: Final[dict[str, Callable[[Call], Sequence[Value | None]]]] = {
    "RNN": _recurrent(1, _rnn_step, ["Tanh"]),
    "GRU": _recurrent(3, _gru_step, ["Sigmoid", "Tanh"]),
    "LSTM": _recurrent(4, _lstm_step, ["Sigmoid", "Tanh", "Tanh"]),
}
