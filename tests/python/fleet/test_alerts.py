# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from edgeml.errors import FleetError
from edgeml.fleet.alerts import Finding, Period, Rule, broken_by, judge, p_value_max

RULE = Rule(
    name="inputs", owner="vision team", playbook="docs/drift.md", features="input/*", open_after=2, close_after=3
)


def periods(pattern: str) -> list[Period]:
    """One period a letter: x breaks the rule, o does not."""
    return [
        Period(
            start_s=100 * index,
            findings=(Finding(feature="input/a", p_value=1e-9 if letter == "x" else 0.5, psi=0.3),),
        )
        for index, letter in enumerate(pattern)
    ]


@pytest.mark.parametrize(
    ("pattern", "was_on", "on", "since_s"),
    [
        ("", False, False, 0),
        ("x", False, False, 0),
        ("xox", False, False, 0),
        ("oxx", False, True, 100),
        ("oxxxx", False, True, 100),
        ("xxo", False, False, 0),
        ("xxo", True, True, 200),
        ("xxoo", True, True, 300),
        ("xxooo", True, False, 0),
        ("xxooxoo", True, True, 600),
        ("", True, False, 0),
    ],
)
def test_opens_after_a_run_and_closes_after_quiet(pattern: str, was_on: bool, on: bool, since_s: int) -> None:
    verdict = judge(RULE, periods(pattern), 1e-6, was_on=was_on)
    assert (verdict.on, verdict.since_s) == (on, since_s)
    assert bool(verdict.findings) == on


def test_worst_feature_first_and_only_covered_ones() -> None:
    findings = (
        Finding(feature="input/a", p_value=1e-8, psi=0.2),
        Finding(feature="input/b", p_value=1e-12, psi=0.2),
        Finding(feature="input/small", p_value=1e-12, psi=0.05),
        Finding(feature="input/unsure", p_value=1e-3, psi=0.9),
        Finding(feature="output/class", p_value=0.0, psi=0.9),
    )
    broken = broken_by(RULE, Period(start_s=0, findings=findings), 1e-6)
    assert [finding.feature for finding in broken] == ["input/b", "input/a"]


def test_p_value_is_corrected_for_features_devices_and_periods() -> None:
    rule = replace(RULE, alpha=0.12, open_after=2)
    assert p_value_max(rule, features=10, devices=5, period_s=3600) == pytest.approx(0.12 / 10 / 5 / 12)
    assert p_value_max(rule, features=0, devices=0, period_s=7 * 86_400) == 0.12


@pytest.mark.parametrize(
    "change",
    [
        {"name": ""},
        {"owner": " "},
        {"playbook": 3},
        {"features": 1},
        {"alpha": 0},
        {"alpha": 1.5},
        {"alpha": "x"},
        {"alpha": float("nan")},
        {"psi_min": -1},
        {"psi_min": True},
        {"open_after": 0},
        {"close_after": 2.5},
    ],
)
def test_values_out_of_range(change: dict[str, Any]) -> None:
    with pytest.raises(FleetError, match="rule "):
        replace(RULE, **change)
