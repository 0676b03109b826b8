# SPDX-License-Identifier: Apache-2.0
"""Zero-concentrated differential privacy (zCDP) in whole micro-rho, rounded up, and what it means as (epsilon, delta).

- Pure epsilon-DP is (epsilon^2 / 2)-zCDP (Bun, Steinke 2016, proposition 1.4).
- A discrete Gaussian of variance sigma^2 on counts of L2 sensitivity D is (D^2 / (2 sigma^2))-zCDP (Canonne, Kamath,
  Steinke 2020, theorem 4).
- rho adds up over releases; rho-zCDP is (epsilon, delta)-DP for every epsilon, with the least delta over orders a > 1 of
  exp((a - 1) (a rho - epsilon)) / (a - 1) * (1 - 1 / a)^a (the same, proposition 7).
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Final

from edgeml.errors import UsageError
from edgeml.privacy.budget import MICRO

DELTA_SHOWN: Final = 1e-9  # at which people are shown epsilon


def micro_rho(rho: Fraction) -> int:
    """Whole micro-rho, rounded up."""
    return -(-rho.numerator * MICRO // rho.denominator)


def micro_rho_of_epsilon(epsilon_micro: int) -> int:
    """Micro-rho of a release that is epsilon-DP, epsilon in micro-epsilon; rounded up."""
    return micro_rho(Fraction(epsilon_micro, MICRO) ** 2 / 2)


def micro_rho_of_gaussian(*, sensitivity_squared: int, variance: Fraction) -> int:
    """Micro-rho of a discrete Gaussian of this variance on counts whose squared L2 sensitivity is given; rounded up."""
    return micro_rho(Fraction(sensitivity_squared) / (2 * variance))


def epsilon_of_rho(rho_micro: int, *, delta: float) -> float:
    """Epsilon that rho-zCDP gives at this delta: the smallest over the orders, within 1e-9 of it from above.

    Raises:
        UsageError: rho below 0, or a delta outside (0, 1).
    """
    if rho_micro < 0 or not 0 < delta < 1:
        raise UsageError(f"zCDP: rho {rho_micro} micro and delta {delta}; rho >= 0 and 0 < delta < 1 are needed")
    rho = rho_micro / MICRO
    if rho == 0:
        return 0.0

    # For an order a: epsilon = a rho + (ln(1 / delta) + (a - 1) ln(1 - 1 / a) - ln a) / (a - 1); unimodal in ln(a - 1).
    def at(log_excess: float) -> float:
        excess = math.exp(log_excess)
        order = 1 + excess
        return order * rho + (-math.log(delta) - math.log(order)) / excess + math.log(excess / order)

    low, high = math.log(1e-6), math.log(1e9)
    for _ in range(200):
        third = (high - low) / 3
        low, high = (low, high - third) if at(low + third) < at(high - third) else (low + third, high)
    return max(0.0, at((low + high) / 2))
