# SPDX-License-Identifier: Apache-2.0
"""Samplers against their exact probabilities, and the tables of the constant-time one against exact arithmetic."""

from __future__ import annotations

from decimal import Decimal, localcontext
from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from edgeml import _core

DRAWS = 1_000_000
PARAMETERS = {
    "discrete_laplace": [(1, 1), (7, 2), (33, 1), (1000, 3)],
    "discrete_gaussian": [(1, 4), (50, 4), (1089, 1)],
}
CASES = [(name, *parameter) for name, parameters in PARAMETERS.items() for parameter in parameters]


def exp_minus(x: Fraction) -> Decimal:
    return (-Decimal(x.numerator) / Decimal(x.denominator)).exp()


def weight(name: str, parameter: Fraction, z: int) -> Decimal:
    """Unnormalised probability, 60 digits."""
    return exp_minus(Fraction(abs(z)) / parameter if name == "discrete_laplace" else Fraction(z * z) / (2 * parameter))


def p_value(draws: NDArray[np.int64], name: str, parameter: Fraction) -> float:
    spread = float(parameter) if name == "discrete_laplace" else float(parameter) ** 0.5
    reach = int(45 * spread) + 10 if name == "discrete_laplace" else int(10 * spread) + 10
    with localcontext() as context:
        context.prec = 60
        weights = [weight(name, parameter, z) for z in range(reach + 1)]
        total = weights[0] + 2 * sum(weights[1:])
        one_side = np.array([float(w / total) for w in weights]) * len(draws)
    cells = int(np.argmax(one_side < 50)) - 1 if (one_side < 50).any() else reach
    inner = np.concatenate([one_side[cells:0:-1], one_side[: cells + 1]])
    expected = np.concatenate([[one_side[cells + 1 :].sum()], inner, [one_side[cells + 1 :].sum()]])
    observed = np.bincount(np.clip(draws, -cells - 1, cells + 1) + cells + 1, minlength=2 * cells + 3)
    return float(stats.chisquare(observed, expected * (observed.sum() / expected.sum())).pvalue)


@pytest.mark.parametrize("sampler", ["exact", "constant_time"])
@pytest.mark.parametrize(("name", "numerator", "denominator"), CASES)
def test_a_million_draws(name: str, numerator: int, denominator: int, sampler: str) -> None:
    draws = _core.noise_draws(name, numerator, denominator, sampler=sampler, seed=7, count=DRAWS)
    parameter = Fraction(numerator, denominator)
    assert p_value(draws, name, parameter) > 1e-4
    assert p_value(draws, name, parameter * Fraction(96, 100)) < 1e-9, "the test would not see a wrong scale"


@pytest.mark.parametrize("scale", [Fraction(1), Fraction(1, 3), Fraction(33), Fraction(10**6, 7), Fraction(2**40)])
def test_laplace_tables_are_the_rounded_probabilities(scale: Fraction) -> None:
    tables, bound = _core.noise_tables("discrete_laplace", scale.numerator, scale.denominator)
    outcomes = 0
    with localcontext() as context:
        context.prec = 80
        a = exp_minus(1 / scale)
        for number, (last, digit_weight, is_signed) in enumerate(tables):
            words = last.astype(object) + 2**63 + 1
            radix = (len(last) + 1) // 2 if is_signed else len(last) + 1
            below = [1 - exp_minus(r * digit_weight / scale) for r in range(radix + 1)]
            whole = Decimal(1) if number == len(tables) - 1 else below[radix]
            shares = [value / whole for value in below[1:radix]]
            if is_signed:
                positive = 1 / (1 + a)
                shares = [s * positive for s in shares] + [positive] + [positive + s * (1 - positive) for s in shares]
            for word, share in zip(words, shares, strict=True):
                assert abs(Decimal(word) - share * 2**64) <= Decimal("0.5001") or share * 2**64 < 1
            outcomes += len(last) + 1
        leading_radix = (len(last) + 1) // 2 if is_signed else len(last) + 1
        assert exp_minus(leading_radix * digit_weight / scale) < Decimal(2) ** -60, "truncated mass"
    assert outcomes < bound <= outcomes + 16


def test_gaussian_table_is_the_rounded_probabilities() -> None:
    ((last, digit_weight, is_signed),), bound = _core.noise_tables("discrete_gaussian", 1089, 1)
    assert (digit_weight, is_signed) == (1, False)
    assert bound <= len(last) + 17
    with localcontext() as context:
        context.prec = 80
        weights = [
            weight("discrete_gaussian", Fraction(1089), z) * (1 if z == 0 else 2) for z in range(len(last) + 200)
        ]
        total = sum(weights)
        truncated = sum(weights[len(last) + 1 :]) / total
        assert truncated < Decimal(2) ** -60
        below = Decimal(0)
        for word, this in zip(last.astype(object) + 2**63 + 1, weights, strict=False):
            below += this
            assert abs(Decimal(word) - below / total * 2**64) <= Decimal("0.5001") + truncated * 2**64


@pytest.mark.parametrize("name", sorted(PARAMETERS))
@pytest.mark.parametrize("sampler", ["exact", "constant_time"])
def test_draws_of_the_system_differ(name: str, sampler: str) -> None:
    first, second = (_core.noise_draws(name, 1000, 1, sampler=sampler, count=100) for _ in range(2))
    assert (first != second).any()


@pytest.mark.parametrize("parameter", [(0, 1), (1, 0), (2**60, 1)])
def test_refuses_parameters(parameter: tuple[int, int]) -> None:
    for name in PARAMETERS:
        for sampler in ("exact", "constant_time"):
            with pytest.raises(ValueError, match="no "):
                _core.noise_draws(name, *parameter, sampler=sampler, count=1)
