# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from edgeml.errors import FleetError
from edgeml.fleet.alerts import Finding, Period, Rule, broken_by, judge, log_e_min

RULE = Rule(
    name="inputs", owner="vision team", playbook="docs/drift.md", features="input/*", open_after=2, close_after=3
)


def finding(feature: str, *, psi: float, log_e: float, since_s: int = 0) -> Finding:
    return Finding(feature=feature, p_value=0.01, psi=psi, log_e=log_e, since_s=since_s)


def periods(pattern: str) -> list[Period]:
    """One period a letter: x breaks the rule, o does not."""
    return [
        Period(
            start_s=100 * index,
            findings=(finding("input/a", psi=0.3, log_e=20 if letter == "x" else 0, since_s=100 * index - 50),),
        )
        for index, letter in enumerate(pattern)
    ]


@pytest.mark.parametrize(
    ("pattern", "was_on", "on", "since_s"),
    [
        ("", False, False, 0),
        ("x", False, False, 0),
        ("xox", False, False, 0),
        ("oxx", False, True, 150),
        ("oxxxx", False, True, 350),
        ("xxo", False, False, 0),
        ("xxo", True, True, 50),
        ("xxoo", True, True, 50),
        ("xxooo", True, False, 0),
        ("xxooxoo", True, True, 350),
        ("", True, False, 0),
    ],
)
def test_opens_after_a_run_and_closes_after_quiet(pattern: str, was_on: bool, on: bool, since_s: int) -> None:
    verdict = judge(RULE, periods(pattern), 15.0, was_on=was_on)
    assert (verdict.on, verdict.since_s) == (on, since_s)
    assert bool(verdict.findings) == on


def test_worst_feature_first_and_only_covered_ones() -> None:
    findings = (
        finding("input/a", log_e=18, psi=0.2),
        finding("input/b", log_e=30, psi=0.2),
        finding("input/small", log_e=30, psi=0.05),
        finding("input/unsure", log_e=7, psi=0.9),
        finding("output/class", log_e=99, psi=0.9),
    )
    broken = broken_by(RULE, Period(start_s=0, findings=findings), 15.0)
    assert [one.feature for one in broken] == ["input/b", "input/a"]


def test_evidence_is_corrected_for_features_devices_and_periods() -> None:
    rule = replace(RULE, alpha=0.12)
    assert log_e_min(rule, features=10, devices=5, period_s=3600) == pytest.approx(math.log(10 * 5 * 24 / 0.12))
    assert log_e_min(rule, features=0, devices=0, period_s=7 * 86_400) == pytest.approx(-math.log(0.12))


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
