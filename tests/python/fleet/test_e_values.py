# SPDX-License-Identifier: Apache-2.0
"""E-values against their definition, and their promise over 10,000 noised windows."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.integrate import quad

from edgeml.fleet import drift
from edgeml.fleet.e_values import accumulate, log_e_value
from support.reports import NOISE_SCALE, normal_counts, normal_schema


@pytest.mark.parametrize("p_value", [1e-12, 1e-6, 1e-3, 0.05, 0.3, 0.9, 0.999, 0.99995, 1.0])
def test_is_the_mixture_of_calibrators(p_value: float) -> None:
    mixture, _ = quad(lambda k: k * p_value ** (k - 1), 0, 1)
    assert math.exp(log_e_value(p_value)) == pytest.approx(mixture, rel=1e-6)


def test_its_mean_is_one() -> None:
    mean, _ = quad(lambda u: math.exp(log_e_value(math.exp(-u)) - u), 0, 600, limit=2000)  # p = exp(-u)
    assert mean == pytest.approx(1, abs=0.003)  # what is missing is the tail: 1/600


def test_zero_is_finite() -> None:
    assert math.isfinite(log_e_value(0.0))


def test_evidence_starts_again_and_tells_since_when() -> None:
    evidence = accumulate([0.9, 0.9, 1e-4, 0.01, 0.9])
    assert [one.since for one in evidence] == [0, 1, 2, 2, 2]
    assert evidence[3].log_e == pytest.approx(log_e_value(1e-4) + log_e_value(0.01))


def p_values(rng: np.random.Generator, windows: int, shift: float) -> np.ndarray:
    """Of each window of its own, for one feature."""
    schema = normal_schema(features=1, samples=5000)
    noise = drift.Noise.of_releases([(NOISE_SCALE.numerator, NOISE_SCALE.denominator, 1)])
    reference = np.asarray(schema.features[0].reference, dtype=np.int64)
    found = []
    for _ in range(windows):
        counts = normal_counts(schema, rng, samples=1000, shift=shift)
        samples = drift.samples_of(counts, features=len(schema.features))
        one = drift.feature_drift(reference, counts[: len(reference)], samples=samples, noise=noise)
        assert one is not None
        found.append(one.p_value)
    return np.asarray(found)


def test_false_alarms_are_at_most_as_many_as_promised() -> None:
    alpha, windows = 0.01, 10_000
    log_limit, alarms, log_e = -math.log(alpha), 0, 0.0
    for p_value in p_values(np.random.default_rng(5), windows, 0.0):
        log_e = max(log_e, 0.0) + log_e_value(p_value)
        if log_e >= log_limit:
            alarms += 1
            log_e = 0.0
    assert alarms <= alpha * windows
    assert alarms >= 1  # a test that never raises anything keeps every promise


def test_a_small_shift_adds_up() -> None:
    alpha = 1e-6  # hundreds of features on hundreds of devices
    single = p_values(np.random.default_rng(6), 40, 0.15)
    assert (single > alpha).all()  # no window shows it alone
    evidence = [one.log_e for one in accumulate(single)]
    assert max(evidence) >= -math.log(alpha)
