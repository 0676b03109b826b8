# SPDX-License-Identifier: Apache-2.0
"""The discrete Laplace mechanism on a window of counts; definition, sensitivity and proof: mechanisms.md beside it."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from edgeml import _core

if TYPE_CHECKING:
    from edgeml.privacy.ledger import Reservation


def noise_scale(*, sensitivity: int, epsilon: Fraction) -> Fraction:
    """Scale t = sensitivity / epsilon, exact (mechanisms.md, theorem 1)."""
    return Fraction(sensitivity) / epsilon


def release(
    raw: _core.RawCounts, *, reservation: Reservation, sensitivity: int, sampler: str = "exact"
) -> _core.ReleasedCounts:
    """Turn raw counts into released ones: the only way, and only with budget that is charged already.

    `sensitivity` is the number of features of the schema: what one sample can change, in L1.
    `sampler`: "exact", or "constant_time" at the delta of mechanisms.md, section 5.

    Raises:
        UsageError: the reservation is used already, or there is no such sampler.
        DeviceError: no random bytes, or a count that overflows with its noise.
    """
    reservation.use()
    scale = noise_scale(sensitivity=sensitivity, epsilon=reservation.epsilon)
    return _core.release(raw, scale.numerator, scale.denominator, sampler)
