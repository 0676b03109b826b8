# SPDX-License-Identifier: Apache-2.0
"""The report's section on pruning: what other budgets would cost, and the density of every layer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Final

from edgeml.convert.prune.budget import CurvePoint
from edgeml.convert.prune.pruner import Pruned

_WIDTH, _HEIGHT = 560, 260  # of the picture
_LEFT, _RIGHT, _TOP, _BOTTOM = 60, 20, 16, 44  # its margins
_DB_MAX: Final = 60.0  # at the top; outputs nearer than this differ in nothing that counts
_DB_STEP: Final = 10


def pruning_section(pruned: Pruned) -> str:
    """Heading, picture and table."""
    chosen = pruned.chosen
    return "\n".join(
        [
            "<h2>Pruning</h2>",
            (
                f"<p>{100 * chosen.sparsity:.1f} % of the weights of these layers are zero; the cost model predicts "
                f"{100 * chosen.latency:.0f} % of the dense time of all layers that it knows. On calibration samples the float outputs "
                f"are {_db(chosen.loss):.1f} dB from the dense ones. The curve is the best allocation at other budgets by prediction, "
                "before the remaining weights are fitted; the point is this model, measured.</p>"
            ),
            f'<div class="wide">{pareto(pruned.curve, chosen)}</div>',
            _table(pruned),
        ]
    )


def _db(loss: float) -> float:
    """A relative squared error as a signal-to-noise ratio."""
    return _DB_MAX if loss <= 10 ** (-_DB_MAX / 10) else max(0.0, -10 * math.log10(loss))


def pareto(curve: Sequence[CurvePoint], chosen: CurvePoint) -> str:
    """Predicted share of the dense latency to the right, nearness of the outputs in dB upwards."""
    width, height = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM

    def place(point: CurvePoint) -> tuple[float, float]:
        share = min(1.0, max(0.0, point.latency))
        return _LEFT + share * width, _TOP + (1 - _db(point.loss) / _DB_MAX) * height

    parts = []
    for db in range(0, int(_DB_MAX) + 1, _DB_STEP):
        y = _TOP + (1 - db / _DB_MAX) * height
        parts.append(f'<line class="grid" x1="{_LEFT}" y1="{y:.1f}" x2="{_LEFT + width}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{db}</text>')
    for percent in range(0, 101, 20):
        x = _LEFT + percent / 100 * width
        parts.append(f'<text x="{x:.1f}" y="{_TOP + height + 16}" text-anchor="middle">{percent} %</text>')
    line = " ".join("{:.1f},{:.1f}".format(*place(point)) for point in curve)
    parts.append(f'<polyline class="curve" points="{line}"/>')
    for point in curve:
        x, y = place(point)
        tip = f"{100 * point.sparsity:.0f} % zeros, {100 * point.latency:.0f} % of the time, {_db(point.loss):.1f} dB"
        parts.append(f'<circle class="good" cx="{x:.1f}" cy="{y:.1f}" r="3"><title>{tip}</title></circle>')
    x, y = place(chosen)
    parts.append(f'<circle class="weak" cx="{x:.1f}" cy="{y:.1f}" r="6"><title>this model</title></circle>')
    parts.append(
        f'<text x="{_LEFT + width / 2}" y="{_HEIGHT - 6}" text-anchor="middle">predicted share of the dense time</text>'
        f'<text x="{_LEFT}" y="{_TOP - 4}">outputs, dB</text>'
    )
    return (
        f'<svg role="img" aria-label="nearness of the outputs against predicted latency" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        f'width="{_WIDTH}" height="{_HEIGHT}">{"".join(parts)}</svg>'
    )


def _table(pruned: Pruned) -> str:
    lines = [
        (
            "<table><tr><th>layer</th><th>weights</th><th>not zero</th><th>density</th><th>block</th>"
            "<th>predicted loss alone, dB</th></tr>"
        )
    ]
    lines += [
        f'<tr><td>{escape(layer.name)}</td><td class="n">{layer.weights:,}</td><td class="n">{layer.kept:,}</td>'
        f'<td class="n">{100 * layer.kept / layer.weights:.0f} %</td><td>{layer.block_rows}x4</td>'
        f'<td class="n">{_db(layer.loss):.1f}</td></tr>'
        for layer in pruned.layers
    ]
    return "\n".join([*lines, "</table>"])
