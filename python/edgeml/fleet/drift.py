# SPDX-License-Identifier: Apache-2.0
"""Drift of one feature: a test whose null distribution knows the noise, plus PSI and JS distance; see drift.md."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc, fdtrc

EFFECTIVE_COUNT_MIN: Final = 1.5  # groups of slots with less behave too little like a Gaussian; drift.md, section 4
GROUPS_MIN: Final = 4  # noise alone does not merge slots into fewer groups
TAIL_DEGREES_MAX: Final = (
    1e6  # above this the F tail and the chi-square tail agree to double precision where it matters
)

Counts = NDArray[np.int64]
Reals = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Noise:
    """Second and fourth cumulant of the noise in one slot, summed over all releases in it; 0, 0 is no noise."""

    variance: float = 0.0
    fourth_cumulant: float = 0.0

    @classmethod
    def of_releases(cls, releases: Iterable[tuple[int, int, int]]) -> Noise:
        """Add up releases given as (numerator of t, denominator of t, how many): discrete Laplace of scale t each."""
        variance = fourth = 0.0
        for numerator, denominator, how_many in releases:
            # With x = 1/t: 1 - a without cancellation for large t is -expm1(-x).
            x = denominator / numerator
            a, gap = math.exp(-x), -math.expm1(-x)
            variance += how_many * 2 * a / gap**2
            fourth += how_many * 2 * a * (1 + 4 * a + a * a) / gap**4
        return cls(variance=variance, fourth_cumulant=fourth)


@dataclass(frozen=True, kw_only=True)
class FeatureDrift:
    """What the test says about one feature in one span of time."""

    statistic: float  # Q, drift.md, section 2
    degrees: int  # groups of slots - 1
    tail_degrees: float  # second parameter of the F distribution; inf is the chi-square limit
    p_value: float  # probability of a statistic at least as large without drift, in [0, 1]
    psi: float  # population stability index without the part that noise and sampling add, >= 0
    js: float  # Jensen-Shannon distance (root of the divergence, base 2), likewise, in [0, 1]


def samples_of(counts: Counts, *, features: int) -> float:
    """Estimate how many samples a noised window holds: every sample adds 1 to one slot of every feature.

    `counts` are all slots of the window. The mean over features divides the summed noise variance by features^2.
    """
    return max(0.0, float(counts.sum(dtype=np.float64)) / features)


def feature_drift(reference: Counts, counts: Counts, *, samples: float, noise: Noise) -> FeatureDrift | None:
    """Test the k slots `counts` against the k slots `reference`; None where there is nothing to compare.

    `samples`: how many samples are in `counts` (see samples_of), >= 0. `noise`: what was added to each slot.
    """
    reference_total = float(reference.sum())
    if reference_total <= 0 or (samples <= 0 and noise.variance <= 0):
        return None
    groups = _Groups.of_slots(reference.astype(np.float64), counts.astype(np.float64), samples, noise)
    degrees = len(groups.sizes) - 1
    if degrees < 1:
        return None
    shares = groups.reference / reference_total
    weight = 1.0 / groups.variance
    fit = float(shares**2 @ weight)
    scale = float(shares * groups.counts @ weight) / fit
    statistic = float((groups.counts - scale * shares) ** 2 @ weight)
    leverage = weight - (shares * weight) ** 2 / fit
    excess = float(leverage**2 @ groups.fourth_cumulant)
    tail_degrees = _tail_degrees(degrees, excess)
    psi, js = _distances(groups, shares, samples, noise)
    return FeatureDrift(
        statistic=statistic,
        degrees=degrees,
        tail_degrees=tail_degrees,
        p_value=_p_value(statistic, degrees, tail_degrees),
        psi=psi,
        js=js,
    )


@dataclass(frozen=True, kw_only=True)
class _Groups:
    """Neighbouring slots added together until each has enough behind it; one entry per group."""

    reference: Reals
    counts: Reals
    sizes: Reals  # slots in the group: the noise of all of them is in it
    variance: Reals
    fourth_cumulant: Reals

    @classmethod
    def of_slots(cls, reference: Reals, counts: Reals, samples: float, noise: Noise) -> _Groups:
        # NaN (slot 0) is no neighbour of "below the range": it goes last, so that it joins others only when it must.
        order = np.concatenate((np.arange(1, len(reference)), [0]))
        reference, counts = reference[order], counts[order]
        pooled = _pooled_shares(reference, counts, samples, noise)
        total = float(reference.sum())
        variance = samples * (1 + samples / total) * pooled + noise.variance
        sampled_fourth = samples * (1 + (samples / total) ** 3) * pooled
        fourth = sampled_fourth + noise.fourth_cumulant
        starts = _starts(variance, fourth)
        if len(starts) < GROUPS_MIN:  # the F tail covers Laplace tails; it does not cover few counts
            starts = _starts(variance, sampled_fourth)
        return cls(
            reference=np.add.reduceat(reference, starts),
            counts=np.add.reduceat(counts, starts),
            sizes=np.diff(np.append(starts, len(counts))).astype(np.float64),
            variance=np.add.reduceat(variance, starts),
            fourth_cumulant=np.add.reduceat(fourth, starts),
        )


def _pooled_shares(reference: Reals, counts: Reals, samples: float, noise: Noise) -> Reals:
    """Share of each slot if there is no drift, from both sides, weighted by what each knows (drift.md, section 3)."""
    total = float(reference.sum())
    if samples <= 0:
        return reference / total
    prior = (reference + 0.5) / (total + 0.5 * len(reference))
    observed_weight = samples * (samples * prior) / (samples * prior + noise.variance)
    observed = np.maximum(counts, 0.0) / samples
    pooled: Reals = (reference + observed_weight * observed) / (total + observed_weight)
    return pooled


def _starts(variance: Reals, fourth: Reals) -> NDArray[np.intp]:
    """Find the first slot of each group: it is full when variance^2 / fourth cumulant reaches EFFECTIVE_COUNT_MIN."""
    starts = [0]
    group_variance = group_fourth = 0.0
    for slot, (v, f) in enumerate(zip(variance.tolist(), fourth.tolist(), strict=True)):
        if slot > starts[-1] and _enough(group_variance, group_fourth):
            starts.append(slot)
            group_variance = group_fourth = 0.0
        group_variance += v
        group_fourth += f
    if len(starts) > 1 and not _enough(group_variance, group_fourth):
        starts.pop()
    return np.asarray(starts, dtype=np.intp)


def _enough(variance: float, fourth: float) -> bool:
    return variance > 0 and variance * variance >= EFFECTIVE_COUNT_MIN * fourth


def _tail_degrees(degrees: int, excess: float) -> float:
    """Parameter nu for which F(degrees, nu), scaled to mean `degrees`, has variance 2 degrees + excess."""
    surplus = excess / degrees
    if surplus <= 0:
        return math.inf
    nu = 4 + (2 * degrees + 4) / surplus
    return nu if nu < TAIL_DEGREES_MAX else math.inf


def _p_value(statistic: float, degrees: int, tail_degrees: float) -> float:
    if math.isinf(tail_degrees):
        return float(chdtrc(degrees, statistic))
    mean_of_f = tail_degrees / (tail_degrees - 2)
    return float(fdtrc(degrees, tail_degrees, statistic / degrees * mean_of_f))


def _distances(groups: _Groups, shares: Reals, samples: float, noise: Noise) -> tuple[float, float]:
    """PSI and JS distance over the groups, less what they would be on average without drift (drift.md, section 5)."""
    if samples < 1:
        return 0.0, 0.0
    smoothing = 0.5 + np.sqrt(noise.variance * groups.sizes)
    p = samples * shares + smoothing
    q = np.maximum(groups.counts, 0.0) + smoothing
    total = float(p.sum())
    p, q = p / total, q / float(q.sum())
    m = (p + q) / 2
    expected = float((groups.variance / total**2 * (1 - p) / m).sum())
    psi = float(((q - p) * np.log(q / p)).sum()) - expected
    divergence = float((p * np.log(p / m) + q * np.log(q / m)).sum()) / 2 - expected / 8
    return max(0.0, psi), math.sqrt(min(1.0, max(0.0, divergence) / math.log(2)))
