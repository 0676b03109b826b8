# SPDX-License-Identifier: Apache-2.0
"""Pictures of the report as inline SVG; colours are classes of its style, so that light and dark need no second picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from edgeml.convert.report.layer_errors import LayerError

_ROW = 18  # height of a bar and its gap
_NAME, _BAR = 260, 420  # widths of the columns
_DB_MAX = 60.0  # a bar that is full


def sqnr_bars(rows: Sequence[LayerError], weak_db: float) -> str:
    """A bar per layer in execution order; below `weak_db` it is marked."""
    parts = []
    for number, row in enumerate(rows):
        y = number * _ROW
        share = min(1.0, max(0.0, row.sqnr_db / _DB_MAX))
        style = "weak" if row.sqnr_db < weak_db else "good"
        figure = "exact" if math.isinf(row.sqnr_db) else f"{row.sqnr_db:.1f} dB"
        parts.append(
            f'<text x="{_NAME - 6}" y="{y + 12}" text-anchor="end">{escape(row.tensor[-38:])}</text>'
            f'<rect class="{style}" x="{_NAME}" y="{y + 2}" width="{max(1.0, share * _BAR):.1f}" height="{_ROW - 5}"/>'
            f'<text x="{_NAME + share * _BAR + 6:.1f}" y="{y + 12}">{figure}</text>'
        )
    height = len(rows) * _ROW
    return (
        f'<svg role="img" aria-label="SQNR of every layer in dB" viewBox="0 0 {_NAME + _BAR + 80} {height}" '
        f'width="{_NAME + _BAR + 80}" height="{height}">{"".join(parts)}</svg>'
    )


def histogram(counts: Sequence[int]) -> str:
    """How the int8 values of a layer spread from -128 to 127; heights are square roots, so that rare values show."""
    most = math.sqrt(max(1, *counts))
    bars = "".join(
        f'<rect class="good" x="{2 * i}" y="{24 - 24 * math.sqrt(count) / most:.1f}" width="2" '
        f'height="{24 * math.sqrt(count) / most:.1f}"/>'
        for i, count in enumerate(counts)
        if count
    )
    width = 2 * len(counts)
    return (
        f'<svg role="img" aria-label="histogram from -128 to 127" viewBox="0 0 {width} 24" width="{width}" height="24">'
        f"{bars}</svg>"
    )
