# SPDX-License-Identifier: Apache-2.0
"""Budgets are exact, and rounded against the one who spends."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from edgeml.errors import UsageError
from edgeml.privacy import PrivacyBudget, noise_scale


def test_exact_values() -> None:
    budget = PrivacyBudget(epsilon="2.5", per_release="0.1")
    assert budget.day_micro == 2_500_000
    assert budget.release_micro == 100_000
    assert budget.release_epsilon == Fraction(1, 10)
    assert noise_scale(sensitivity=7, epsilon=budget.release_epsilon) == Fraction(70)


def test_a_release_rounds_up_and_a_day_down() -> None:
    budget = PrivacyBudget(epsilon="2/3", per_release="1/3")
    assert budget.day_micro == 666_666
    assert budget.release_micro == 333_334


@pytest.mark.parametrize(
    "options",
    [
        {"epsilon": 8.0},
        {"epsilon": True},
        {"epsilon": None},
        {"epsilon": "eight"},
        {"epsilon": "1/0"},
        {"epsilon": "nan"},
        {"epsilon": "inf"},
        {"epsilon": "0", "per_release": "0"},
        {"epsilon": "-1"},
        {"epsilon": "1001"},
        {"epsilon": "1.0000000001"},
        {"epsilon": "1/3", "per_release": "1/3"},
        {"per": "week"},
        {"per_release": "301"},
        {"per_release": 0.5},
        {"per_release": Fraction(0)},
    ],
)
def test_refuses(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        PrivacyBudget(**options)
