# SPDX-License-Identifier: Apache-2.0
"""The arithmetic of the gates: evidence that a model is worse than is allowed, which may be looked at as often as one likes.

Each finished period gives a p-value for "the model is not worse than the limit"; a calibrator turns it into an e-value with
mean at most 1 (Vovk, Wang 2021: 1/(2 sqrt p)), and their product is a martingale test: by Ville's inequality it ever reaches
1/alpha with probability at most alpha if the model is good, however many periods there are. p is bounded below, so that one
odd period alone stops nothing but a gross fault.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from scipy.special import bdtrc, stdtr

KURTOSIS_MIN: Final = 0.01  # some is always there: counts are not Gaussian
P_MIN: Final = 1e-12


@dataclass(frozen=True, kw_only=True)
class Rate:
    """A count among samples, both estimated from noised sums; the cumulants are those of the noise in the count."""

    count: float = 0.0
    samples: float = 0.0
    variance: float = 0.0
    fourth_cumulant: float = 0.0

    @property
    def share(self) -> float:
        """The share, in [0, 1]; 0 where there is nothing."""
        return min(1.0, max(0.0, self.count / self.samples)) if self.samples > 0 else 0.0

    def __add__(self, other: Rate) -> Rate:
        return Rate(
            count=self.count + other.count,
            samples=self.samples + other.samples,
            variance=self.variance + other.variance,
            fourth_cumulant=self.fourth_cumulant + other.fourth_cumulant,
        )


def excess_p_value(candidate: Rate, baseline: Rate, excess: float) -> float:
    """P-value of "the candidate's share is at most the baseline's plus `excess`", one-sided; 1 where nothing is known.

    The tail of Student's t with the variance of both binomials and of the noise, and the kurtosis that Laplace noise gives
    the sum; the binomial variance is that of the largest share that is allowed.
    """
    if candidate.samples < 1 or baseline.samples < 1:
        return 1.0
    allowed = min(1.0, baseline.share + excess)
    spread = max(allowed * (1 - allowed), 1 / candidate.samples)
    variance = spread / candidate.samples + candidate.variance / candidate.samples**2
    base = max(baseline.share * (1 - baseline.share), 1 / baseline.samples)
    variance += base / baseline.samples + baseline.variance / baseline.samples**2
    fourth = candidate.fourth_cumulant / candidate.samples**4 + baseline.fourth_cumulant / baseline.samples**4
    kurtosis = max(fourth / variance**2, KURTOSIS_MIN)
    degrees = 4 + 6 / kurtosis
    z = (candidate.share - allowed - 0.5 / candidate.samples) / math.sqrt(variance)
    return float(stdtr(degrees, -z * math.sqrt(degrees / (degrees - 2))))


def add_evidence(log_e: float, p_value: float) -> float:
    """The natural logarithm of the e-value after another period."""
    return log_e + math.log(0.5) - 0.5 * math.log(max(p_value, P_MIN))


def log_limit(false_stop: float, gates: int) -> float:
    """The log e-value that stops a rollout with so many gates: each has its part of the chance of a false stop.

    Evidence begins anew with each wave, so that what breaks late is seen as fast; a gate counts once for each wave.
    """
    return math.log(max(1, gates) / false_stop)


def tail_p_value(failed: int, devices: int, share: float) -> float:
    """Chance that so many of the devices or more fail if each does with probability `share`.

    `devices` are those of the whole wave, also those that have not settled: the number only grows, so any look is good.
    """
    if failed <= 0:
        return 1.0
    return float(bdtrc(failed - 1, devices, share)) if failed <= devices else 0.0
