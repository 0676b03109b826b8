# SPDX-License-Identifier: Apache-2.0
"""Epsilon from below: what an attacker learns from releases of two neighbouring windows, as a lower bound.

A window x and its neighbour x' (one sample more) are released again and again. For the event "the likelihood ratio of the
release is at least c" the bound is ln(p' / p) with p' from below and p from above (Clopper, Pearson 1934). c is chosen
on the first half of the releases and the bound is computed on the second, so that the choice costs no confidence. A true
claim is passed with a probability of at most 1 - CONFIDENCE; noise of half the scale spends twice the claim.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edgeml._core import RawCounts
from edgeml.errors import UsageError
from edgeml.observe import Feature, Observer, TelemetrySchema
from edgeml.privacy.ledger import Reservation
from edgeml.privacy.mechanisms import release

CONFIDENCE: Final = 0.999
RELEASES: Final = 40_000
RELEASES_MIN: Final = 1000
FEATURES: Final = 2
_SAMPLES: Final = 100

# Released counts of the window, or of its neighbour if True: one int64 a slot.
Mechanism = Callable[[bool], NDArray[np.int64]]


@dataclass(frozen=True, kw_only=True)
class AuditResult:
    """The lower bound on epsilon at CONFIDENCE, beside the claim."""

    epsilon_claimed: float
    epsilon_lower_bound: float
    releases: int

    @property
    def passed(self) -> bool:
        """Whether the bound stays at or below the claim."""
        return self.epsilon_lower_bound <= self.epsilon_claimed


def audit(epsilon: Fraction, *, sampler: str = "exact", releases: int = RELEASES) -> AuditResult:
    """Audit `edgeml.privacy.release` of the installed edgeml at this epsilon.

    Raises:
        UsageError: too few releases.
    """
    schema = _schema()
    windows = {False: _window(schema, _SAMPLES), True: _window(schema, _SAMPLES + 1)}

    def mechanism(neighbour: bool) -> NDArray[np.int64]:
        paid = Reservation(id=1, day=0, epsilon=epsilon, epsilon_micro=1, entry_hash=bytes(32))
        return release(windows[neighbour], reservation=paid, sensitivity=FEATURES, sampler=sampler).counts

    return audit_mechanism(mechanism, epsilon=epsilon, releases=releases)


def audit_mechanism(mechanism: Mechanism, *, epsilon: Fraction, releases: int = RELEASES) -> AuditResult:
    """Audit anything that releases the two windows of `window_slots`.

    Raises:
        UsageError: too few releases.
    """
    if releases < RELEASES_MIN:
        raise UsageError(f"privacy audit: {releases} releases say nothing, at least {RELEASES_MIN} are needed")
    slots = window_slots()
    # Steps by which a release looks more like the neighbour: its likelihood ratio is exp(steps / t).
    steps = {}
    for neighbour in (False, True):
        counts = np.array([mechanism(neighbour)[slots] for _ in range(releases)])
        steps[neighbour] = (np.abs(counts - _SAMPLES) - np.abs(counts - _SAMPLES - 1)).sum(axis=1)
    half = releases // 2
    chosen = max(
        range(-FEATURES, FEATURES + 1),
        key=lambda least: _lower_bound(steps[False][:half], steps[True][:half], least, CONFIDENCE),
    )
    bound = _lower_bound(steps[False][half:], steps[True][half:], chosen, CONFIDENCE)
    return AuditResult(epsilon_claimed=float(epsilon), epsilon_lower_bound=bound, releases=2 * releases)


def window_slots() -> list[int]:
    """Slots of the window in which its neighbour has one sample more: the second bin of each feature."""
    schema = _schema()
    return [offset + 3 for offset in schema.offsets[:-1]]


def clopper_pearson(successes: int, trials: int, *, alpha: float) -> tuple[float, float]:
    """Exact bounds of a probability, each violated with a probability of at most `alpha`."""
    low = 0.0 if successes == 0 else _solve(lambda p: 1 - _binomial_cdf(successes - 1, trials, p), alpha)
    high = 1.0 if successes == trials else _solve(lambda p: -_binomial_cdf(successes, trials, p), -alpha)
    return low, high


def _lower_bound(plain: NDArray[np.int64], neighbour: NDArray[np.int64], least: int, confidence: float) -> float:
    alpha = (1 - confidence) / 2
    low, _ = clopper_pearson(int((neighbour >= least).sum()), len(neighbour), alpha=alpha)
    _, high = clopper_pearson(int((plain >= least).sum()), len(plain), alpha=alpha)
    return max(0.0, math.log(low / high)) if low > 0 else 0.0


def _solve(increasing: Callable[[float], float], wanted: float) -> float:
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if increasing(middle) < wanted else (low, middle)
    return (low + high) / 2


def _binomial_cdf(successes: int, trials: int, p: float) -> float:
    k = np.arange(successes + 1)
    if p <= 0.0 or p >= 1.0:
        return 1.0 if p <= 0.0 else float(successes >= trials)
    logs = _log_factorials(trials)
    terms = logs[trials] - logs[k] - logs[trials - k] + k * math.log(p) + (trials - k) * math.log1p(-p)
    return min(1.0, float(np.exp(terms).sum()))


_LOGS: dict[int, NDArray[np.float64]] = {}


def _log_factorials(n: int) -> NDArray[np.float64]:
    if n not in _LOGS:
        _LOGS[n] = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, n + 1, dtype=np.float64)))])
    return _LOGS[n]


def _schema() -> TelemetrySchema:
    features = tuple(
        Feature(
            name=f"x[{index}]",
            source="input",
            tensor="x",
            kind="value",
            index=index,
            edges=(0.0, 1.0, 2.0),
            reference=(0,) * 5,
        )
        for index in range(FEATURES)
    )
    return TelemetrySchema(samples=0, features=features)


def _window(schema: TelemetrySchema, samples: int) -> RawCounts:
    observer = Observer(schema)
    observer.observe({"x": np.full((samples, FEATURES), 1.5, dtype=np.float32)}, {}, 1.0)
    return observer.take()
