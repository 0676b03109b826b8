# SPDX-License-Identifier: Apache-2.0
"""zCDP in whole micro-rho, and its conversion against the closed bound and a search over orders."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from edgeml.errors import UsageError
from edgeml.privacy.accounting import epsilon_of_rho, micro_rho, micro_rho_of_epsilon, micro_rho_of_gaussian


def test_rho_is_rounded_up() -> None:
    assert micro_rho(Fraction(1, 3)) == 333_334
    assert micro_rho_of_epsilon(1_000_000) == 500_000
    assert micro_rho_of_epsilon(1) == 1
    assert micro_rho_of_gaussian(sensitivity_squared=4, variance=Fraction(100)) == 20_000
    assert micro_rho_of_gaussian(sensitivity_squared=1, variance=Fraction(3)) == 166_667


@pytest.mark.parametrize("rho_micro", [1, 500, 20_000, 500_000, 20_000_000])
@pytest.mark.parametrize("delta", [1e-12, 1e-6, 1e-2])
def test_epsilon_is_the_best_over_all_orders(rho_micro: int, delta: float) -> None:
    epsilon = epsilon_of_rho(rho_micro, delta=delta)
    rho = rho_micro * 1e-6
    assert epsilon <= rho + 2 * math.sqrt(rho * math.log(1 / delta))  # Bun, Steinke 2016, proposition 1.3
    order = 1 + np.exp(np.linspace(math.log(1e-4), math.log(1e7), 200_001))
    log_delta = (order - 1) * (order * rho - epsilon) - np.log(order - 1) + order * np.log1p(-1 / order)
    assert log_delta.min() == pytest.approx(math.log(delta), abs=1e-3) or epsilon == 0.0
    assert log_delta.min() <= math.log(delta) + 1e-6


def test_nothing_spent_is_nothing() -> None:
    assert epsilon_of_rho(0, delta=1e-9) == 0.0
    for rho, delta in ((-1, 1e-9), (1, 0.0), (1, 1.0)):
        with pytest.raises(UsageError):
            epsilon_of_rho(rho, delta=delta)


def test_agrees_with_dp_accounting() -> None:
    dp = pytest.importorskip("dp_accounting", reason="dp-accounting is not installed")
    for rho_micro in (20_000, 500_000):
        noise_multiplier = math.sqrt(1 / (2 * rho_micro * 1e-6))
        accountant = dp.rdp.RdpAccountant([1 + x / 100 for x in range(1, 40_000)])
        accountant.compose(dp.GaussianDpEvent(noise_multiplier))
        assert epsilon_of_rho(rho_micro, delta=1e-9) == pytest.approx(accountant.get_epsilon(1e-9), rel=1e-3)
