# SPDX-License-Identifier: Apache-2.0
"""The privacy budget as exact numbers: fractions for the noise, whole micro-epsilon for the books."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from edgeml.errors import UsageError

MICRO: Final = 1_000_000
EPSILON_PARTS_MAX: Final = 10**9  # of numerator and denominator: the noise scale of 1,024 features stays below 2^40
EPSILON_MAX: Final = 1000

Epsilon = str | int | Fraction  # a float has no exact decimal value, and is refused


def parse_epsilon(value: Epsilon, what: str) -> Fraction:
    """Exact value of "0.5", "1/3", 2 or a Fraction.

    Raises:
        UsageError: not one of these, not above 0, above EPSILON_MAX, or with too many digits.
    """
    if isinstance(value, (float, bool)) or not isinstance(value, (str, int, Fraction)):
        raise UsageError(f"{what} must be exact: text as in '0.5', a whole number or a Fraction, not {value!r}")
    try:
        epsilon = Fraction(value)
    except (ValueError, ZeroDivisionError) as error:
        raise UsageError(f"{what} {value!r:.80} is not a number") from error
    if not 0 < epsilon <= EPSILON_MAX:
        raise UsageError(f"{what} is {value!s:.80}, it must be above 0 and at most {EPSILON_MAX}")
    if max(epsilon.numerator, epsilon.denominator) > EPSILON_PARTS_MAX:
        raise UsageError(f"{what} {value!s:.80} has more than 9 digits")
    return epsilon


def micro_epsilon(epsilon: Fraction) -> int:
    """Whole micro-epsilon, rounded up: the books never show less than was spent."""
    return -(-epsilon.numerator * MICRO // epsilon.denominator)


@dataclass(frozen=True, kw_only=True)
class PrivacyBudget:
    """How much epsilon a device may spend in a UTC day, and how much of it a release of one window costs.

    The unit of privacy is one sample (one inference): with whatever else is known, the released counts of its window
    say at most `per_release` about it. `epsilon` bounds the sum over the releases of a day.

    Raises:
        UsageError: a value is a float or out of range, or a release costs more than the day has.
    """

    epsilon: Epsilon = "300"
    per: str = "day"
    per_release: Epsilon = "1"

    def __post_init__(self) -> None:
        day = parse_epsilon(self.epsilon, "privacy budget: epsilon")
        release = parse_epsilon(self.per_release, "privacy budget: per_release")
        if self.per != "day":
            raise UsageError(f"privacy budget: per={self.per!r}, a budget is per 'day'")
        if self.release_micro > self.day_micro:
            raise UsageError(
                f"privacy budget: a release costs {release}, more than the {day} of a day, in micro-epsilon"
            )

    @property
    def day_micro(self) -> int:
        """Budget of a day, micro-epsilon; rounded down, so that no day goes above `epsilon`."""
        day = Fraction(self.epsilon)
        return day.numerator * MICRO // day.denominator

    @property
    def release_epsilon(self) -> Fraction:
        """Epsilon of one release, exact."""
        return Fraction(self.per_release)

    @property
    def release_micro(self) -> int:
        """Epsilon of one release, micro-epsilon, rounded up."""
        return micro_epsilon(self.release_epsilon)
