# SPDX-License-Identifier: Apache-2.0
"""Charts as inline SVG. Colours are classes of the style sheet, so that light and dark need no second picture."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup, escape

from edgeml.fleet.dashboard.texts import clock, level, nice_top, p_text, psi_text, thousands
from edgeml.fleet.histograms import Histogram
from edgeml.fleet.overview import Drift, Overview

Place = Callable[[float, float], tuple[float, float]]  # time and value to x and y

HEAT_ROWS_MAX: Final = 40
FEATURE_CHARACTERS_MAX: Final = 24
LINES_MAX: Final = 8
QUIET_LINES_MAX: Final = 40  # more make the picture grey and the page long
COLOURS: Final = 6  # line-0 .. line-5 of the style sheet
PSI_MARKS: Final = ((0.1, "small shift"), (0.25, "large shift"))


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line of a chart over time: points are (unix seconds, value)."""

    name: str
    points: tuple[tuple[int, float], ...]
    loud: bool  # in colour and named; others stay grey


def books_bar(state: Overview) -> Markup:
    """Stored, waiting and unaccounted windows as parts of those produced."""
    total = max(1, state.produced)
    parts = (("stored", state.stored), ("waiting", state.waiting), ("lost", state.unaccounted))
    out = [
        (
            '<svg class="bar" viewBox="0 0 100 4" preserveAspectRatio="none" role="img" '
            f'aria-label="{state.stored} stored, {state.waiting} waiting, {state.unaccounted} unaccounted">'
        )
    ]
    x = 0.0
    for name, count in parts:
        width = 100.0 * max(0, count) / total
        out.append(f'<rect class="part-{name}" x="{x:.3f}" y="0" width="{width:.3f}" height="4"/>')
        x += width
    out.append("</svg>")
    return Markup("".join(out))  # noqa: S704  only numbers of ours


def budget_bar(spent_micro: int, budget_micro: int) -> Markup:
    """How much of the day's privacy budget is spent."""
    share = min(1.0, spent_micro / budget_micro) if budget_micro else 0.0
    name = "part-lost" if share >= 1 else "part-waiting" if share > 0.8 else "part-budget"
    return Markup(  # noqa: S704  only numbers of ours
        '<svg class="bar thin" viewBox="0 0 100 4" preserveAspectRatio="none" role="img" '
        f'aria-label="{share:.0%} of the budget spent"><rect class="part-empty" width="100" height="4"/>'
        f'<rect class="{name}" width="{100 * share:.2f}" height="4"/></svg>'
    )


def heat_map(state: Overview) -> Markup:
    """Newest PSI, devices by features; the worst devices first where there are too many."""
    latest = state.drift
    if not latest:
        return Markup("")
    features = list(dict.fromkeys(one.feature for one in latest))
    cells = {((one.tenant, one.device), one.feature): one for one in latest}
    worst: dict[tuple[str, str], float] = defaultdict(float)
    for one in latest:
        worst[one.tenant, one.device] = max(worst[one.tenant, one.device], one.psi)
    devices = sorted(sorted(worst, key=lambda key: -worst[key])[:HEAT_ROWS_MAX])
    cell_w, cell_h, left = max(16, min(54, 640 // len(features))), 30, 118
    longest = min(FEATURE_CHARACTERS_MAX, max(map(len, features)))
    top = 18 + round(4.5 * longest)  # names stand at 42 degrees, a character is about 7 wide
    wide = left + cell_w * len(features) + round(5.0 * longest) - cell_w // 2
    high = top + cell_h * len(devices) + 4
    out = [
        (
            f'<svg class="heat" viewBox="0 0 {wide} {high}" style="min-width:{min(wide, 520)}px;max-width:{wide * 1.25:.0f}px" '
            f'role="img" aria-label="Drift by device and feature">'
        )
    ]
    for column, feature in enumerate(features):
        x = left + cell_w * (column + 0.5)
        out.append(
            f'<text class="axis" transform="translate({x + 3:.1f} {top - 8}) rotate(-42)">'
            f"{escape(_short(feature, FEATURE_CHARACTERS_MAX))}<title>{escape(feature)}</title></text>"
        )
    for row, key in enumerate(devices):
        y = top + cell_h * row
        out.append(
            f'<a href="/device/{escape(key[0])}/{escape(key[1])}"><text class="name" x="{left - 10}" y="{y + 19}" '
            f'text-anchor="end">{escape(_short(key[1], 15))}</text></a>'
        )
        for column, feature in enumerate(features):
            if (found := cells.get((key, feature))) is not None:
                out.append(_heat_cell(found, left + cell_w * column, y, cell_w, cell_h))
    out.append("</svg>")
    return Markup("".join(out))  # noqa: S704  texts are escaped above


def _heat_cell(found: Drift, x: int, y: int, width: int, height: int) -> str:
    colour = level(found.p_value, found.psi)
    told = (
        f"{found.device}, {found.feature}: PSI {psi_text(found.psi)}, p {p_text(found.p_value)}, JS {found.js:.2f}, "
        f"about {thousands(found.samples)} samples since {clock(found.period_start_s)}"
    )
    number = (
        f'<text class="in-heat on-{colour}" x="{x + width / 2:.1f}" y="{y + 19}">{psi_text(found.psi)}</text>'
        if width >= 34
        else ""
    )
    return (
        f'<g><title>{escape(told)}</title><rect class="heat-{colour}" x="{x + 1}" y="{y + 1}" '
        f'width="{width - 2}" height="{height - 2}" rx="4"/>{number}</g>'
    )


def drift_of_devices(state: Overview) -> Markup:
    """Largest PSI of each device over time; devices with an alarm are loud."""
    alarmed = {(alarm.tenant, alarm.device) for alarm in state.open_alarms}
    series: dict[tuple[str, str], list[tuple[int, float]]] = defaultdict(list)
    for one in state.history:
        series[one.tenant, one.device].append((one.period_start_s, one.psi_max))
    lines = [Line(name=key[1], points=tuple(points), loud=key in alarmed) for key, points in series.items()]
    return line_chart(lines, "Largest PSI of each device over time")


def drift_of_features(drift: Sequence[Drift]) -> Markup:
    """PSI of each feature of one device over time; the features that are worst now are loud."""
    series: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for one in drift:
        series[one.feature].append((one.period_start_s, one.psi))
    loud = sorted(series, key=lambda name: -series[name][-1][1])[:4]
    lines = [Line(name=name, points=tuple(points), loud=name in loud) for name, points in series.items()]
    return line_chart(lines, "PSI of each feature over time")


def line_chart(lines: Sequence[Line], label: str) -> Markup:
    """Lines over time with the usual marks of PSI; loud ones are named at their end."""
    times = [time for line in lines for time, _ in line.points]
    if not times:
        return Markup("")
    wide, high, left, right, top, bottom = 680, 300, 40, 168, 14, 26
    begin, end = min(times), max(times)
    peak = nice_top(max(0.3, *(value for line in lines for _, value in line.points)))

    def at(time: float, value: float) -> tuple[float, float]:
        x = left + (wide - left - right) * ((time - begin) / (end - begin) if end > begin else 1.0)
        return x, high - bottom - (high - top - bottom) * min(value, peak) / peak

    out = [f'<svg class="lines" viewBox="0 0 {wide} {high}" role="img" aria-label="{escape(label)}">']
    out += _axes(at, begin, end, peak, (left, wide - right, high))
    named: list[tuple[float, int, str]] = []
    loud_index = 0
    quiet = [line for line in lines if not line.loud]
    shown = sorted(quiet, key=lambda line: line.points[-1][1])[-QUIET_LINES_MAX:]
    for line in (*shown, *(line for line in lines if line.loud)):
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in (at(*point) for point in line.points))
        x, y = at(*line.points[-1])
        colour = "quiet"
        if line.loud and loud_index < LINES_MAX:
            colour = f"line-{loud_index % COLOURS}"
            named.append((y, loud_index % COLOURS, line.name))
            loud_index += 1
        told = f"{line.name}: PSI {psi_text(line.points[-1][1])}"
        out.append(
            f'<g class="{colour}"><title>{escape(told)}</title><polyline points="{points}"/>'
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.2"/></g>'
        )
    out += _names(named, wide - right + 10, top, high - bottom)
    if quiet:
        _, y = at(end, sorted(line.points[-1][1] for line in quiet)[len(quiet) // 2])
        if all(abs(y - other) >= 14 for other, _, _ in named):
            out.append(f'<text class="axis count" x="{wide - right + 10}" y="{y + 4:.1f}">{len(quiet)} quiet</text>')
    out.append("</svg>")
    legend = [f'<span><i class="key line-{colour}"></i>{escape(name)}</span>' for _, colour, name in sorted(named)]
    if quiet:
        legend.append(f'<span><i class="key quiet"></i>{len(quiet)} quiet</span>')
    # The style sheet shows either the names in the picture, or on a narrow screen the legend below it.
    chart = f'<div class="lines-box">{"".join(out)}</div><p class="legend of-lines">{"".join(legend)}</p>'
    return Markup(chart)  # noqa: S704  texts are escaped above


def _axes(place: Place, begin: int, end: int, peak: float, frame: tuple[int, int, int]) -> Iterable[str]:
    left, right, high = frame
    for value in (0.0, peak / 2, peak):
        _, y = place(end, value)
        yield f'<line class="grid" x1="{left}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield f'<text class="axis" x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{value:.3g}</text>'
    for value, name in PSI_MARKS:
        if value < peak:
            _, y = place(end, value)
            yield f'<line class="mark" x1="{left}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>'
            if value * high / peak > 24 or value == PSI_MARKS[-1][0]:  # room between the marks
                yield f'<text class="axis faint" x="{left + 6}" y="{y - 4:.1f}">{name}</text>'
    for time, anchor in ((begin, "start"), (end, "end")):
        x, _ = place(time, 0.0)
        text = clock(time)[5:19] if end - begin > 86_400 else clock(time)[11:]
        if end > begin or anchor == "end":
            yield f'<text class="axis" x="{x:.1f}" y="{high - 6}" text-anchor="{anchor}">{text}</text>'


def _names(named: list[tuple[float, int, str]], x: float, top: float, bottom: float) -> Iterable[str]:
    """Names beside the ends of their lines, pushed apart where they would overlap."""
    low = top
    room = 15.0
    for left_over, (y, colour, name) in zip(range(len(named) - 1, -1, -1), sorted(named), strict=True):
        place = max(low, min(y, bottom - room * left_over))
        low = place + room
        yield f'<text class="line-name line-{colour}" x="{x}" y="{place + 4:.1f}">{escape(_short(name, 20))}</text>'


def histogram(one: Histogram) -> Markup:
    """Observed against reference shares; the whisker spans two standard deviations of the noise either way."""
    slots = len(one.observed)
    wide, high, top, bottom = 320, 132, 8, 18
    peak = nice_top(max(0.01, *one.observed, *(one.reference or ())))
    step = wide / slots

    def y_of(share: float) -> float:
        return high - bottom - (high - top - bottom) * min(max(share, 0.0), peak) / peak

    out = [f'<svg class="histogram" viewBox="0 0 {wide} {high}" role="img" aria-label="{escape(one.feature)}">']
    for slot in range(slots):
        x = step * slot
        observed = one.observed[slot]
        reference = one.reference[slot] if one.reference else 0.0
        told = f"{one.labels[slot]}: observed {observed:.1%}" + (
            f", reference {reference:.1%}" if one.reference else ""
        )
        low, high_end = y_of(observed - 2 * one.noise_sd), y_of(observed + 2 * one.noise_sd)
        middle = x + step / 2
        out.append(
            f"<g><title>{escape(told)}</title>"
            f'<rect class="hit" x="{x:.2f}" y="0" width="{step:.2f}" height="{high - bottom}"/>'
            f'<rect class="reference" x="{x + step * 0.06:.2f}" y="{y_of(reference):.2f}" width="{step * 0.88:.2f}" '
            f'height="{high - bottom - y_of(reference):.2f}"/>'
            f'<rect class="observed" x="{x + step * 0.24:.2f}" y="{y_of(observed):.2f}" width="{step * 0.52:.2f}" '
            f'height="{high - bottom - y_of(observed):.2f}"/>'
            f'<line class="whisker" x1="{middle:.2f}" x2="{middle:.2f}" y1="{low:.2f}" y2="{high_end:.2f}"/></g>'
        )
    out.append(f'<line class="grid" x1="0" x2="{wide}" y1="{high - bottom}" y2="{high - bottom}"/>')
    out.append(f'<text class="axis" x="2" y="{high - 5}">NaN, {escape(one.labels[1])}</text>')
    out.append(f'<text class="axis" x="{wide - 2}" y="{high - 5}" text-anchor="end">{escape(one.labels[-1])}</text>')
    out.append("</svg>")
    return Markup("".join(out))  # noqa: S704  texts are escaped above


def _short(text: str, characters: int) -> str:
    return text if len(text) <= characters else text[: characters - 1] + "…"
