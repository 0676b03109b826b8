# SPDX-License-Identifier: Apache-2.0
"""Charts are well-formed XML with one mark per value, whatever the values and the names."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeml.fleet.books import Book, Totals
from edgeml.fleet.dashboard import charts
from edgeml.fleet.dashboard.charts import Line
from edgeml.fleet.histograms import Histogram
from edgeml.fleet.overview import Device, Drift, DriftPeriod, Overview

NAME = st.text(st.characters(blacklist_categories=("Cs", "Cc")), min_size=1, max_size=30)
SHARE = st.floats(-2, 2)


def elements(svg: str, tag: str, css_class: str = "") -> list[ET.Element]:
    root = ET.fromstring(f"<x>{svg}</x>")  # noqa: S314  our own text
    return [one for one in root.iter(tag) if one.get("class", "").startswith(css_class)]


def state(drift: Sequence[Drift], stored: int = 5, waiting: int = 3, unaccounted: int = 2) -> Overview:
    book = Book(
        tenant="t",
        device="d",
        produced=stored + waiting + unaccounted,
        stored=stored,
        waiting=waiting,
        lost=0,
        unaccounted=unaccounted,
    )
    device = Device(
        tenant="t",
        device="d",
        state="online",
        first_seen_s=0,
        last_seen_s=0,
        edgeml_version="",
        isa="",
        model_id="",
        model_name="",
        epsilon_spent_micro=0,
        epsilon_budget_micro=0,
        book=book,
        alarms=0,
    )
    return Overview(
        time_s=0,
        period_s=1,
        totals=Totals(produced=book.produced, stored=stored, waiting=waiting, lost=0, unaccounted=unaccounted),
        device_count=1,
        online_count=1,
        devices=[device],
        alarms=[],
        drift=list(drift),
        history=[
            DriftPeriod(
                tenant=one.tenant,
                device=one.device,
                period_start_s=one.period_start_s,
                p_value_min=one.p_value,
                psi_max=one.psi,
            )
            for one in drift
        ],
        models=[],
        windows_without_schema=0,
        windows_refused=0,
        windows_repeated=0,
        messages_quarantined=0,
    )


def drift_row(device: str, feature: str, psi: float, p_value: float = 0.0, start_s: int = 0) -> Drift:
    return Drift(
        tenant="t",
        device=device,
        feature=feature,
        period_start_s=start_s,
        samples=9.0,
        p_value=p_value,
        psi=psi,
        js=0.1,
    )


def test_books_bar_is_full() -> None:
    widths = [float(one.get("width", "")) for one in elements(charts.books_bar(state([])), "rect")]
    assert widths == [50.0, 30.0, 20.0]


@pytest.mark.parametrize(("spent", "budget", "width"), [(0, 0, 0), (1, 4, 25), (9, 4, 100)])
def test_budget_bar(spent: int, budget: int, width: float) -> None:
    assert float(elements(charts.budget_bar(spent, budget), "rect")[1].get("width", "")) == width


def test_heat_map_colours_what_is_certain_and_large() -> None:
    rows = [
        drift_row("a", "x", 0.7),
        drift_row("a", "y", 0.7, p_value=0.01),
        drift_row("b", "x", 0.3),
        drift_row("b", "y", 0.0),
    ]
    svg = charts.heat_map(state(rows))
    assert [one.get("class") for one in elements(svg, "rect", "heat-")] == ["heat-4", "heat-0", "heat-3", "heat-0"]


def test_heat_map_shows_the_worst_of_many_devices() -> None:
    svg = charts.heat_map(state([drift_row(f"device-{i}", "x", i / 100) for i in range(100)]))
    names = [one.text for one in elements(svg, "text", "name")]
    assert names == sorted(f"device-{i}" for i in range(60, 100))


@settings(max_examples=50, deadline=None)
@given(rows=st.lists(st.tuples(NAME, NAME, st.floats(0, 50), st.floats(0, 1), st.integers(-(2**62), 2**62))))
def test_any_drift_gives_xml(rows: list[tuple[str, str, float, float, int]]) -> None:
    drift = [drift_row(*row[:4], start_s=row[4]) for row in rows]
    for svg in (charts.heat_map(state(drift)), charts.drift_of_devices(state(drift)), charts.drift_of_features(drift)):
        if svg:
            elements(svg, "svg")


@settings(max_examples=50, deadline=None)
@given(name=NAME, shares=st.lists(st.tuples(SHARE, st.floats(0, 1)), min_size=3, max_size=40), sd=st.floats(0, 9))
def test_any_histogram_gives_xml(name: str, shares: list[tuple[float, float]], sd: float) -> None:
    one = Histogram(
        feature=name,
        labels=tuple(f"<{i}>" for i in range(len(shares))),
        reference=tuple(reference for _, reference in shares),
        observed=tuple(observed for observed, _ in shares),
        noise_sd=sd,
        p_value=None,
        psi=None,
    )
    svg = charts.histogram(one)
    assert len(elements(svg, "rect", "observed")) == len(elements(svg, "line", "whisker")) == len(shares)
    assert all(float(rect.get("height", "")) >= 0 for rect in elements(svg, "rect"))


def test_names_of_lines_do_not_overlap() -> None:
    lines = [Line(name=f"n{i}", points=((0, 0.2), (10, 0.2 + i / 1000)), loud=True) for i in range(8)]
    ys = [float(one.get("y", "")) for one in elements(charts.line_chart(lines, "x"), "text", "line-name")]
    assert min(later - earlier for earlier, later in zip(sorted(ys), sorted(ys)[1:], strict=False)) >= 14
