# SPDX-License-Identifier: Apache-2.0
"""From raw counts to released ones: budget, ledger, mechanisms. `release()` is the only way."""

from edgeml._core import RawCounts, ReleasedCounts
from edgeml.privacy.budget import PrivacyBudget
from edgeml.privacy.ledger import Ledger, Reservation
from edgeml.privacy.mechanisms import noise_scale, release

__all__ = ["Ledger", "PrivacyBudget", "RawCounts", "ReleasedCounts", "Reservation", "noise_scale", "release"]
