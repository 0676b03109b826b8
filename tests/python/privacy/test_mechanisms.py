# SPDX-License-Identifier: Apache-2.0
"""Releases as they leave: the noise has the scale that the budget says, and the test would see half of it."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy import stats

from edgeml import _core
from edgeml.errors import DeviceError, UsageError
from edgeml.privacy import noise_scale, release
from edgeml.privacy.ledger import Reservation
from support.counting import raw_window, small_schema

if TYPE_CHECKING:
    from numpy.typing import NDArray


def p_value(draws: NDArray[np.int64], scale: Fraction) -> float:
    """Chi-square test of draws against Pr[z] = (1 - a) / (1 + a) a^|z|, a = exp(-1 / scale)."""
    a = np.exp(-1 / float(scale))
    cells = int(np.argmax((1 - a) / (1 + a) * a ** np.arange(1, 2000) * len(draws) < 50))
    z = np.arange(-cells, cells + 1)
    inner = (1 - a) / (1 + a) * a ** np.abs(z)
    tail = a ** (cells + 1) / (1 + a)
    expected = np.concatenate([[tail], inner, [tail]]) * len(draws)
    observed = np.bincount(np.clip(draws, -cells - 1, cells + 1) + cells + 1, minlength=2 * cells + 3)
    return float(stats.chisquare(observed, expected * (observed.sum() / expected.sum())).pvalue)


def reservation(epsilon: Fraction) -> Reservation:
    return Reservation(id=1, day=1, epsilon=epsilon, epsilon_micro=1, entry_hash=bytes(32))


@pytest.mark.parametrize("epsilon", [Fraction(1), Fraction(1, 4), Fraction(7, 3)])
def test_released_noise_has_the_scale_of_the_budget(epsilon: Fraction) -> None:
    sensitivity = len(small_schema().features)
    raw = raw_window(1000)
    exact = _core.reference_counts(raw)
    noise = np.concatenate(
        [release(raw, reservation=reservation(epsilon), sensitivity=sensitivity).counts - exact for _ in range(5000)]
    )
    assert len(noise) == 5000 * 34
    assert p_value(noise, Fraction(sensitivity) / epsilon) > 1e-9  # random: fails once in 10^9 runs
    assert p_value(noise, Fraction(sensitivity) / epsilon * 2) < 1e-12
    assert p_value(noise // 2, Fraction(sensitivity) / epsilon) < 1e-12


def test_a_million_seeded_draws() -> None:
    draws = _core.noise_draws("discrete_laplace", 34, 3, seed=11, count=1_000_000)
    assert p_value(draws, Fraction(34, 3)) > 1e-4
    assert p_value(draws, Fraction(34, 3) * Fraction(98, 100)) < 1e-12


def test_the_constant_time_sampler_has_the_same_distribution() -> None:
    raw = raw_window(1000)
    exact = _core.reference_counts(raw)
    noise = np.concatenate(
        [
            release(raw, reservation=reservation(Fraction(1)), sensitivity=2, sampler="constant_time").counts - exact
            for _ in range(3000)
        ]
    )
    assert p_value(noise, Fraction(2)) > 1e-9  # random: fails once in 10^9 runs
    with pytest.raises(UsageError, match="sampler"):
        release(raw, reservation=reservation(Fraction(1)), sensitivity=2, sampler="fast")


def test_released_counts_carry_their_scale() -> None:
    released = release(raw_window(), reservation=reservation(Fraction(4)), sensitivity=2)
    assert released.noise_scale == (1, 2)
    assert noise_scale(sensitivity=2, epsilon=Fraction(4)) == Fraction(1, 2)
    assert released.counts.dtype == np.int64


def test_released_counts_are_a_copy() -> None:
    released = release(raw_window(), reservation=reservation(Fraction(1)), sensitivity=2)
    before = released.counts
    released.counts[:] = 0
    assert (released.counts == before).all()


def test_a_reservation_pays_for_one_release() -> None:
    paid = reservation(Fraction(1))
    raw = raw_window()
    release(raw, reservation=paid, sensitivity=2)
    with pytest.raises(UsageError):
        release(raw, reservation=paid, sensitivity=2)


@pytest.mark.parametrize("scale", [(0, 1), (1, 0), (2**40 + 1, 1), (1, 2**40 + 1)])
def test_refuses_a_scale(scale: tuple[int, int]) -> None:
    with pytest.raises(UsageError):
        _core.release(raw_window(), *scale)


def test_errors_of_the_core_are_ours() -> None:
    assert issubclass(DeviceError, Exception)
    with pytest.raises(TypeError):
        _core.release(np.zeros(34), 1, 1)
