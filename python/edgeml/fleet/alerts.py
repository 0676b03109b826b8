# SPDX-License-Identifier: Apache-2.0
"""Alarm rules, pure: which periods break a rule, when an alarm opens and when it closes.

What breaks a rule is evidence that may be looked at after every period (e_values.md), and a shift that is large enough.
`alpha` is the number of false alarms by the rule in the whole fleet in one day, at most and on average: the evidence of
one feature of one device must reach features * devices * periods of a day / alpha.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final

from edgeml.errors import FleetError

DAY_S: Final = 86_400


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One `[[rule]]` of fleet.toml.

    Raises:
        FleetError: a value out of its range.
    """

    name: str
    owner: str  # who is told
    playbook: str  # where it is written what to do
    features: str = "*"  # names of features, with * and ?
    alpha: float = 0.01  # (0, 1]; false alarms a day
    psi_min: float = 0.1  # >= 0; smaller shifts are no alarm however certain they are
    open_after: int = 3  # periods in a row, >= 1
    close_after: int = 3

    def __post_init__(self) -> None:
        for key, text in (("name", self.name), ("owner", self.owner), ("playbook", self.playbook)):
            if not isinstance(text, str) or not text.strip():
                raise FleetError(f"rule {self.name!r}: {key} must be text that is not empty")
        if not isinstance(self.features, str):
            raise FleetError(f"rule {self.name!r}: features must be text such as 'input/*'")
        if not _is_number(self.alpha) or not 0 < self.alpha <= 1:
            raise FleetError(f"rule {self.name!r}: alpha {self.alpha!r} is not above 0 and at most 1")
        if not _is_number(self.psi_min) or not self.psi_min >= 0:
            raise FleetError(f"rule {self.name!r}: psi_min {self.psi_min!r} is not a number from 0")
        for key, count in (("open_after", self.open_after), ("close_after", self.close_after)):
            if not isinstance(count, int) or isinstance(count, bool) or not 1 <= count <= 1000:
                raise FleetError(f"rule {self.name!r}: {key} {count!r} is not a whole number of 1..1000")

    def covers(self, feature: str) -> bool:
        """Whether the rule looks at this feature."""
        return fnmatchcase(feature, self.features)


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What the drift test says about one feature in one period."""

    feature: str
    p_value: float
    psi: float
    log_e: float  # evidence that has come together up to this period, as a natural logarithm
    since_s: int  # start of the first period that counts in it


@dataclass(frozen=True, kw_only=True)
class Period:
    """The findings of one device in one period that is over."""

    start_s: int
    findings: tuple[Finding, ...]


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Whether an alarm is on after the given periods, since when, and why (worst first)."""

    on: bool
    since_s: int = 0
    findings: tuple[Finding, ...] = ()


def log_e_min(rule: Rule, *, features: int, devices: int, period_s: int) -> float:
    """Least evidence that breaks a rule which looks at so many features and devices, as a natural logarithm."""
    return math.log(max(1, features) * max(1, devices) * max(1.0, DAY_S / period_s) / rule.alpha)


def broken_by(rule: Rule, period: Period, evidence_min: float) -> tuple[Finding, ...]:
    """Findings of a period that break the rule, worst first."""
    found = [f for f in period.findings if rule.covers(f.feature) and f.log_e >= evidence_min and f.psi >= rule.psi_min]
    return tuple(sorted(found, key=lambda f: (-f.log_e, -f.psi, f.feature)))


def judge(rule: Rule, periods: Sequence[Period], evidence_min: float, *, was_on: bool) -> Verdict:
    """Decide by the newest periods (ascending in time); hysteresis keeps an alarm on until it was quiet for long."""
    broken = [broken_by(rule, period, evidence_min) for period in periods]
    run = 0
    while run < len(broken) and broken[-1 - run]:
        run += 1
    quiet = 0
    while quiet < len(broken) and not broken[-1 - quiet]:
        quiet += 1
    if run >= rule.open_after or (was_on and quiet < rule.close_after and any(broken)):
        newest = next(findings for findings in reversed(broken) if findings)
        return Verdict(on=True, since_s=newest[0].since_s, findings=newest)
    return Verdict(on=False)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
