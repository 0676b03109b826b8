# SPDX-License-Identifier: Apache-2.0
"""The audit passes what is true and catches half the noise; the mechanisms here are models in numpy with a seed."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from edgeml.device.privacy_audit import FEATURES, audit, audit_mechanism, clopper_pearson, window_slots
from edgeml.errors import UsageError

SAMPLES = 100


class Model:
    """Discrete Laplace noise of a scale on the two windows of the audit."""

    def __init__(self, scale: float, seed: int) -> None:
        self.stop = 1 - np.exp(-1 / scale)
        self.random = np.random.default_rng(seed)

    def __call__(self, neighbour: bool) -> NDArray[np.int64]:
        counts = np.zeros(5 * FEATURES, dtype=np.int64)
        counts[window_slots()] = SAMPLES + int(neighbour)
        noise = self.random.geometric(self.stop, len(counts)) - self.random.geometric(self.stop, len(counts))
        return counts + noise


def test_the_installed_release_stays_below_its_claim() -> None:
    result = audit(Fraction(1), releases=8000)
    assert result.passed
    assert result.epsilon_lower_bound > 0.4


@pytest.mark.parametrize("epsilon", [Fraction(1, 2), Fraction(1), Fraction(2)])
def test_half_the_noise_is_caught_and_the_right_noise_is_not(epsilon: Fraction) -> None:
    for seed in range(4):
        half = audit_mechanism(Model(FEATURES / float(epsilon) / 2, seed), epsilon=epsilon, releases=6000)
        assert not half.passed
        right = audit_mechanism(Model(FEATURES / float(epsilon), seed), epsilon=epsilon, releases=2000)
        assert right.passed


def test_bounds_of_a_probability_are_those_of_clopper_and_pearson() -> None:
    for successes, trials in ((0, 50), (1, 50), (333, 1000), (5000, 20_000), (50, 50)):
        low, high = clopper_pearson(successes, trials, alpha=0.0005)
        exact = stats.binomtest(successes, trials).proportion_ci(0.999, method="exact")
        assert low == pytest.approx(exact.low, abs=1e-8)
        assert high == pytest.approx(exact.high, abs=1e-8)


def test_refuses_too_few_releases() -> None:
    with pytest.raises(UsageError):
        audit(Fraction(1), releases=10)
