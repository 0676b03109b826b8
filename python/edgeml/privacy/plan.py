# SPDX-License-Identifier: Apache-2.0
"""What a fleet can see through the noise: the power of a drift test, by simulation, and the plan that follows from it.

The test compares the day's total of one feature, over the whole fleet, with the reference: `bins` bins of equal reference
probability, Q = sum min(|count - expected|, CUT standard deviations)^2, rejected above the 99 % quantile of Q without a
shift. Both distributions of Q are simulated with the noise in them, because the tails of Laplace noise are no Gaussian's:
at one draw a bin of scale 200, the quantile of chi-square gives 6 % false alarms, and without the cut half of the power goes.

What is added to each bin of that total (discrete Laplace, difference of two geometric sums):

    unit        who adds noise             draws a bin            scale t
    event       every device, each window  devices * windows      1 / epsilon
    device-day  every device, once a day   devices                events / epsilon
    device-day  the secure sum, once       1                      events / epsilon

A shift moves a standard normal feature by so many standard deviations.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from statistics import NormalDist
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edgeml.errors import UsageError

UNITS: Final = ("event", "device-day")
FALSE_ALARMS: Final = 0.01
POWER_WANTED: Final = 0.8
CUT: Final = 1.75  # standard deviations of a bin: what lies beyond is noise's tail
RUNS: Final = 20_000
BINS: Final = (8, 16, 32)
WINDOWS_S: Final = (300, 900, 3600, 21_600, 86_400)
DAY_S: Final = 86_400
_SEED: Final = 20_260  # the same plan for the same question


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """The question: how many devices, events (inferences) a device and day, epsilon, and the shift that matters.

    `shift_sd` is in standard deviations of the feature. `secure_sum`: only the sum over the fleet is ever seen.
    `features`: of the schema; each costs its share of epsilon.

    Raises:
        UsageError: a value outside its range.
    """

    devices: int
    events_per_day: int
    epsilon: Fraction
    shift_sd: float
    unit: str = "event"
    secure_sum: bool = False
    features: int = 1

    def __post_init__(self) -> None:
        for name, least, most in (("devices", 1, 10**7), ("events_per_day", 1, 10**9), ("features", 1, 1024)):
            if not least <= getattr(self, name) <= most:
                raise UsageError(f"privacy plan: {name} is {getattr(self, name)}, it must be {least} to {most}")
        if self.unit not in UNITS:
            raise UsageError(f"privacy plan: the unit is {self.unit!r}, one of {', '.join(UNITS)} is needed")
        if not 0 < self.shift_sd <= 10:
            raise UsageError(f"privacy plan: a shift of {self.shift_sd} sd, it must be above 0 and at most 10")
        if self.secure_sum and self.unit != "device-day":
            raise UsageError("privacy plan: a secure sum is for the unit device-day; events need none")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """An answer: how to count and release, and with which probability the day's total shows the shift."""

    mechanism: str
    bins: int
    window_s: int
    noise_scale: Fraction
    draws: int  # of noise in a bin of the day's total
    power: float

    @property
    def can_see(self) -> bool:
        """Whether the power is at least POWER_WANTED."""
        return self.power >= POWER_WANTED


def plan(fleet: Fleet) -> Plan:
    """Find the shortest window whose day sees the shift, with the bins that see it best; else the best there is."""
    windows = WINDOWS_S if fleet.unit == "event" else (DAY_S,)
    best: Plan | None = None
    for window_s in windows:
        for bins in BINS:
            candidate = plan_of(fleet, bins=bins, window_s=window_s)
            if best is None or candidate.power > best.power:
                best = candidate
        if best is not None and best.can_see:
            break
    assert best is not None  # noqa: S101 - there are windows and bins
    return best


def plan_of(fleet: Fleet, *, bins: int, window_s: int) -> Plan:
    """Give the plan with these bins and this window, and its power."""
    per_device = fleet.events_per_day if fleet.unit == "device-day" else 1
    scale = Fraction(per_device * fleet.features) / fleet.epsilon
    windows = DAY_S // window_s if fleet.unit == "event" else 1
    draws = 1 if fleet.secure_sum else fleet.devices * windows
    return Plan(
        mechanism="discrete Laplace" + (" on a secure sum" if fleet.secure_sum else ""),
        bins=bins,
        window_s=window_s,
        noise_scale=scale,
        draws=draws,
        power=detection_power(
            samples=fleet.devices * fleet.events_per_day,
            bins=bins,
            shift_sd=fleet.shift_sd,
            scale=float(scale),
            draws=draws,
        ),
    )


def detection_power(*, samples: int, bins: int, shift_sd: float, scale: float, draws: int) -> float:
    """Share of RUNS simulated days with the shift whose Q is above the 99 % quantile of Q without it.

    `draws` discrete Laplace draws of scale `scale` are in each bin; `samples` are in all bins together.
    """
    random = np.random.default_rng(_SEED)
    normal = NormalDist()
    edges = [normal.inv_cdf(i / bins) for i in range(1, bins)]
    upper = [normal.cdf(edge - shift_sd) for edge in edges]
    shifted = np.diff(np.array([0.0, *upper, 1.0]))
    level = np.full(bins, 1 / bins)
    ratio = math.exp(-1 / scale)
    noise_variance = draws * 2 * ratio / math.expm1(-1 / scale) ** 2
    cut = CUT * math.sqrt(samples / bins * (1 - 1 / bins) + noise_variance)

    def statistic(shares: NDArray[np.float64]) -> NDArray[np.float64]:
        counts = random.multinomial(samples, shares, size=RUNS).astype(np.float64)
        counts += _noise_sums(random, scale, draws, (RUNS, bins)) - samples / bins
        np.clip(counts, -cut, cut, out=counts)
        result: NDArray[np.float64] = np.einsum("ij,ij->i", counts, counts)
        return result

    threshold = np.quantile(statistic(level), 1 - FALSE_ALARMS)
    return float((statistic(shifted) > threshold).mean())


def _noise_sums(random: np.random.Generator, scale: float, draws: int, shape: tuple[int, int]) -> NDArray[np.float64]:
    """Sum `draws` discrete Laplace draws: negative binomial less negative binomial, both of ratio exp(-1 / scale)."""
    stop = -math.expm1(-1 / scale)
    first = random.negative_binomial(draws, stop, size=shape)
    return (first - random.negative_binomial(draws, stop, size=shape)).astype(np.float64)
