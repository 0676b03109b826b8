# SPDX-License-Identifier: Apache-2.0
"""Lowering of control flow: branches and trip counts are decided at conversion, loops are unrolled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from edgeml.convert.plain.builder import Value
from edgeml.convert.plain.lowering import Call

TRIPS_MAX: Final = 4096


def _if(c: Call) -> Sequence[Value]:
    return c.subgraph("then_branch" if bool(c.x.known().reshape(-1)[0]) else "else_branch", [])


def _loop(c: Call) -> Sequence[Value]:
    b = c.b
    graph = c.attribute("body")
    limit = c.optional(0)
    trips = TRIPS_MAX if limit is None else int(limit.known().reshape(-1)[0])
    if trips > TRIPS_MAX:
        raise c.unsupported(f"runs {trips} times", f"at most {TRIPS_MAX} rounds can be unrolled")
    condition = c.optional(1)
    going = condition is None or bool(condition.known().reshape(-1)[0])
    carried = [value for value in c.inputs[2:] if value is not None]
    scanned: list[list[Value]] = [[] for _ in range(len(graph.output) - 1 - len(carried))]
    trip = 0
    while going and trip < trips:
        proceed, *results = c.subgraph("body", [b.constant(np.int64(trip)), b.constant(True), *carried])
        carried = results[: len(carried)]
        for line, value in zip(scanned, results[len(carried) :], strict=True):
            line.append(value)
        going = bool(proceed.known().reshape(-1)[0])
        trip += 1
    return [*carried, *(_stacked(c, line, 0) for line in scanned)]


def _stacked(c: Call, values: Sequence[Value], axis: int) -> Value:
    if not values:
        raise c.unsupported("collects the results of no round")
    axis %= values[0].rank + 1
    return c.b.concat([c.b.reshape(v, (*v.shape[:axis], 1, *v.shape[axis:])) for v in values], axis)


def _scan(c: Call) -> Sequence[Value]:
    b = c.b
    inputs = [value for value in c.inputs if value is not None]
    count = c.attribute("num_scan_inputs")
    batched = c.opset < 9
    if batched and inputs[0].shape[0] != 1:
        raise c.unsupported("scans a batch", "export with opset 9 or newer")
    states, scanned = inputs[:-count], inputs[-count:]
    if batched:
        states, scanned = ([b.reshape(v, v.shape[1:]) for v in values] for values in (states, scanned))
    axes = [a % v.rank for a, v in zip(c.attribute("scan_input_axes", [0] * count), scanned, strict=True)]
    backwards = c.attribute("scan_input_directions", [0] * count)
    length = scanned[0].shape[axes[0]]
    collected: list[list[Value]] = []
    for step in range(length):
        rows = []
        for value, axis, back in zip(scanned, axes, backwards, strict=True):
            row = b.take(value, axis, length - 1 - step if back else step)
            rows.append(b.reshape(row, (*value.shape[:axis], *value.shape[axis + 1 :])))
        results = c.subgraph("body", [*states, *rows])
        states = results[: len(states)]
        collected = collected or [[] for _ in results[len(states) :]]
        for line, value in zip(collected, results[len(states) :], strict=True):
            line.append(value)
    outputs = list(states)
    out_axes = c.attribute("scan_output_axes", [0] * len(collected))
    out_backwards = c.attribute("scan_output_directions", [0] * len(collected))
    for line, axis, back in zip(collected, out_axes, out_backwards, strict=True):
        outputs.append(_stacked(c, line[::-1] if back else line, axis))
    return [b.reshape(v, (1, *v.shape)) for v in outputs] if batched else outputs


RULES: Final[dict[str, Callable[[Call], Value | Sequence[Value | None]]]] = {"If": _if, "Loop": _loop, "Scan": _scan}
