# SPDX-License-Identifier: Apache-2.0
"""The power of a drift test through the noise: the three cases of 1,000 devices, and plans that follow from it."""

from __future__ import annotations

from fractions import Fraction

import pytest

from edgeml.errors import UsageError
from edgeml.privacy.plan import DAY_S, Fleet, plan, plan_of


def fleet(**changes: object) -> Fleet:
    question = {"devices": 1000, "events_per_day": 200, "epsilon": Fraction(1), "shift_sd": 0.05, **changes}
    return Fleet(**question)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "power"),
    [({}, 1.00), ({"unit": "device-day"}, 0.01), ({"unit": "device-day", "secure_sum": True}, 0.81)],
)
def test_power_at_epsilon_1_with_32_bins(changes: dict[str, object], power: float) -> None:
    assert plan_of(fleet(**changes), bins=32, window_s=DAY_S).power == pytest.approx(power, abs=0.03)


def test_the_window_is_as_short_as_the_noise_allows() -> None:
    found = plan(fleet(shift_sd=0.1))
    assert found.can_see
    assert found.window_s < DAY_S
    assert found.draws == 1000 * (DAY_S // found.window_s)
    assert plan(fleet(shift_sd=0.1, features=32)).window_s >= found.window_s


def test_no_shift_is_a_false_alarm() -> None:
    assert plan_of(fleet(shift_sd=1e-6), bins=16, window_s=DAY_S).power == pytest.approx(0.01, abs=0.004)


@pytest.mark.parametrize(
    "changes", [{"devices": 0}, {"unit": "person"}, {"shift_sd": 0.0}, {"secure_sum": True}, {"features": 0}]
)
def test_refuses_a_question(changes: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        fleet(**changes)
