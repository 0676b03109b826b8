# SPDX-License-Identifier: Apache-2.0
"""Gates stop what is worse, and what is not worse no more often than they promise."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edgeml.fleet.rollout.gates import Rate, add_evidence, excess_p_value, log_limit, tail_p_value

ALPHA = 0.01
PERIODS = 50


def _is_stopped(
    rng: np.random.Generator, *, share: float, samples: int, excess: float = 0.1, noise: float = 20.0
) -> bool:
    log_e = 0.0
    for _ in range(PERIODS):
        baseline = Rate(
            count=rng.binomial(100_000, 0.05), samples=100_000, variance=noise**2, fourth_cumulant=3 * noise**4
        )
        count = rng.binomial(samples, share) + rng.laplace(0, noise / math.sqrt(2))
        log_e = add_evidence(
            log_e,
            excess_p_value(
                Rate(count=count, samples=samples, variance=noise**2, fourth_cumulant=3 * noise**4), baseline, excess
            ),
        )
        if log_e >= log_limit(ALPHA, 1):
            return True
    return False


@pytest.mark.parametrize("samples", [100, 1000])
def test_a_model_at_the_limit_is_rarely_stopped(samples: int) -> None:
    rng = np.random.default_rng(1)
    stopped = sum(_is_stopped(rng, share=0.15, samples=samples) for _ in range(1000))
    assert stopped <= 20  # 1 % of 1,000 with four standard deviations


@pytest.mark.parametrize("share", [0.3, 0.6, 1.0])
def test_a_model_beyond_the_limit_is_stopped(share: float) -> None:
    rng = np.random.default_rng(2)
    assert all(_is_stopped(rng, share=share, samples=1000) for _ in range(100))


def test_a_gross_fault_is_stopped_by_one_period() -> None:
    p = excess_p_value(Rate(count=600, samples=600, variance=400), Rate(count=300, samples=6000, variance=400), 0.15)
    assert add_evidence(0.0, p) > log_limit(0.01, 10)


def test_nothing_known_is_no_evidence() -> None:
    assert excess_p_value(Rate(), Rate(count=1, samples=10), 0.1) == 1.0
    assert excess_p_value(Rate(count=1, samples=10), Rate(), 0.1) == 1.0
    assert add_evidence(0.0, 1.0) < 0


def test_devices_that_fail() -> None:
    assert tail_p_value(0, 5, 0.03) == 1.0
    assert tail_p_value(1, 1, 0.03) == pytest.approx(0.03)
    assert tail_p_value(2, 5, 0.002) == pytest.approx(10 * 0.002**2, rel=0.02)
    assert tail_p_value(5, 5, 0.03) == pytest.approx(0.03**5)


def test_rates_add_up() -> None:
    assert Rate(count=1, samples=10, variance=2) + Rate(count=2, samples=5, variance=1) == Rate(
        count=3, samples=15, variance=3
    )
    assert Rate(count=-5, samples=10).share == 0.0
