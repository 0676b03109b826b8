# SPDX-License-Identifier: Apache-2.0
"""Horizontal bars as SVG, readable on light and on dark pages: time per inference as a multiple of edgeml's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from xml.sax.saxutils import escape

WIDTH: Final = 860
LABEL_WIDTH: Final = 190
BAR_HEIGHT: Final = 9
ROW_GAP: Final = 12
RATIO_MAX: Final = 6.0  # a longer bar is cut, its number tells
COLORS: Final = ("#1f77b4", "#7f8c8d", "#e67e22", "#8e44ad", "#16a085", "#c0392b")
STYLE: Final = (
    "text{font:12px system-ui,sans-serif;fill:#24292f}.n{font-size:9px}.axis{stroke:#8c959f;stroke-width:1}"
    "@media(prefers-color-scheme:dark){text{fill:#e6edf3}.axis{stroke:#6e7681}}"
)


def bars(rows: list[tuple[str, dict[str, float]]], titles: Mapping[str, str]) -> str:
    """SVG text. Rows: model and the median in ms of each runtime; models that edgeml does not run are left to the table."""
    rows = [(model, medians) for model, medians in rows if "edgeml" in medians]
    runtimes = [runtime for runtime in titles if any(runtime in medians for _, medians in rows)]
    parts = legend(runtimes, titles)
    top = y = 54
    for model, medians in rows:
        parts += row(y, model, medians, runtimes)
        y += BAR_HEIGHT * len(medians) + ROW_GAP
    x = position(1.0)
    parts.append(f'<line class="axis" x1="{x}" x2="{x}" y1="{top - 6}" y2="{y - ROW_GAP + 4}" stroke-dasharray="3 3"/>')
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y}" viewBox="0 0 {WIDTH} {y}" role="img">'
    title = "Time per inference relative to edgeml, best variant of each runtime, one thread; shorter is faster"
    return "\n".join([head, f"<title>{title}</title>", f"<style>{STYLE}</style>", *parts, "</svg>"]) + "\n"


def legend(runtimes: list[str], titles: Mapping[str, str]) -> list[str]:
    parts = ['<text x="4" y="16">Time per inference, edgeml = 1, one thread; shorter is faster</text>']
    x = 4
    for runtime, color in zip(titles, COLORS, strict=True):
        if runtime in runtimes:
            parts.append(f'<rect x="{x}" y="26" width="10" height="10" fill="{color}"/>')
            parts.append(f'<text x="{x + 14}" y="35">{escape(titles[runtime])}</text>')
        x += 120
    return parts


def row(y: int, model: str, medians: Mapping[str, float], runtimes: list[str]) -> list[str]:
    """One model: a bar for each runtime that runs it."""
    height = BAR_HEIGHT * len(medians)
    parts = [f'<text x="{LABEL_WIDTH - 8}" y="{y + height / 2 + 4:.1f}" text-anchor="end">{escape(model)}</text>']
    for index, runtime in enumerate(r for r in runtimes if r in medians):
        times = medians[runtime] / medians["edgeml"]
        color = COLORS[runtimes.index(runtime)]
        end = position(min(times, RATIO_MAX))
        bar_y = y + index * BAR_HEIGHT
        text = f"{medians[runtime]:.3g} ms" + ("" if runtime == "edgeml" else f", {times:.2f}x")
        parts.append(
            f'<rect x="{LABEL_WIDTH}" y="{bar_y}" width="{end - LABEL_WIDTH:.1f}" height="{BAR_HEIGHT - 1}" fill="{color}"/>'
        )
        parts.append(f'<text class="n" x="{end + 4:.1f}" y="{bar_y + 8}">{text}</text>')
    return parts


def position(ratio: float) -> float:
    """x of a multiple of edgeml's time."""
    return LABEL_WIDTH + ratio / RATIO_MAX * (WIDTH - LABEL_WIDTH - 100)
