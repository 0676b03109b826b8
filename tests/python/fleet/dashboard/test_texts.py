# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from edgeml.fleet.dashboard import texts


def test_numbers() -> None:
    assert texts.thousands(1234567.4) == "1,234,567"
    assert [texts.p_text(p) for p in (1.0, 0.214, 0.0031, 4e-12, 0.0)] == ["1.00", "0.21", "0.003", "4e-12", "< 1e-99"]
    assert texts.epsilon(2_500_000) == "2.5"
    assert [texts.size(n) for n in (12, 81_342, 3 << 20)] == ["12 B", "79 KiB", "3.0 MiB"]


@pytest.mark.parametrize(
    ("time_s", "text"), [(1000, "0 s ago"), (900, "100 s ago"), (-800, "30 min ago"), (-9_999_999, "115 days ago")]
)
def test_ago(time_s: int, text: str) -> None:
    assert texts.ago(time_s, 1000) == text


def test_clock_of_a_device_far_off() -> None:
    assert texts.clock(0) == "1970-01-01 00:00:00"
    assert texts.clock(2**62) == f"@{2**62}"


@pytest.mark.parametrize(
    ("p_value", "psi", "level"),
    [(0.5, 9.0, 0), (0.0, 0.0, 0), (0.0, 0.05, 1), (0.0, 0.1, 2), (0.0, 0.3, 3), (0.0, 2.0, 4)],
)
def test_level(p_value: float, psi: float, level: int) -> None:
    assert texts.level(p_value, psi) == level


@pytest.mark.parametrize("value", [1e-9, 0.3, 1.0, 1.01, 7, 99_999, 1e12])
def test_axis_holds_the_value_and_is_not_much_longer(value: float) -> None:
    assert value <= texts.nice_top(value) <= 2 * value
