# SPDX-License-Identifier: Apache-2.0
"""Evidence against "no drift" that may be looked at after every period; the calculations stand in e_values.md."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

P_MIN: Final = 1e-300
NEAR_ONE: Final = 1e-4  # closer to 1 the formula cancels; its series is exact to 1e-9 there


def log_e_value(p_value: float) -> float:
    """Logarithm of the e-value of a p-value in [0, 1]: the mixture of all calibrators k p^(k-1), 0 < k < 1."""
    if p_value >= 1 - NEAR_ONE:
        return math.log(0.5 + (1 - p_value) / 6)
    p = max(p_value, P_MIN)
    log_p = math.log(p)
    return math.log1p(p * log_p - p) - log_p - 2 * math.log(-log_p)


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What has come together against "no drift" since `since`, the index of the first period that counts."""

    log_e: float
    since: int


def accumulate(p_values: Iterable[float]) -> list[Evidence]:
    """Evidence after each period: it multiplies, and starts again at 1 where nothing is left of it."""
    evidence: list[Evidence] = []
    log_e, since = 0.0, 0
    for index, p_value in enumerate(p_values):
        if log_e <= 0:
            log_e, since = 0.0, index
        log_e += log_e_value(p_value)
        evidence.append(Evidence(log_e=log_e, since=since))
    return evidence
