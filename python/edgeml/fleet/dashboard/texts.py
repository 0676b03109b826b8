# SPDX-License-Identifier: Apache-2.0
"""Numbers and times as people read them; filters of the templates."""

from __future__ import annotations

import math
from datetime import datetime, timezone


def thousands(value: float) -> str:
    """1234567 -> 1,234,567."""
    return f"{round(value):,}"


def clock(time_s: int) -> str:
    """Unix seconds as UTC date and time."""
    try:
        return datetime.fromtimestamp(time_s, tz=timezone.utc).strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError, OSError):
        return f"@{time_s}"  # a device whose clock is far off


def ago(time_s: int, now_s: int) -> str:
    """How long ago: 5 s, 12 min, 3 h, 9 days."""
    age = max(0, now_s - time_s)
    for limit, unit_s, unit in ((120, 1, "s"), (7200, 60, "min"), (172_800, 3600, "h")):
        if age < limit:
            return f"{age // unit_s} {unit} ago"
    return f"{age // 86_400} days ago"


def p_text(p_value: float) -> str:
    """A p-value: 0.21, 0.003, 1e-12, below 1e-99."""
    if p_value < 1e-99:
        return "< 1e-99"
    return f"{p_value:.2f}" if p_value >= 0.1 else f"{p_value:.1g}"


def psi_text(psi: float) -> str:
    """A PSI with two digits after the point."""
    return f"{psi:.2f}"


def epsilon(micro: int) -> str:
    """Micro-epsilon as epsilon."""
    return f"{micro * 1e-6:.4g}"


def size(count: int) -> str:
    """Bytes as B, KiB or MiB."""
    if count < 1024:
        return f"{count} B"
    return f"{count / 1024:.0f} KiB" if count < 1 << 20 else f"{count / (1 << 20):.1f} MiB"


def level(p_value: float, psi: float) -> int:
    """Colour of a finding: 0 where it is not certain, then by the usual marks of PSI."""
    if p_value > 1e-3:
        return 0
    return sum(psi >= mark for mark in (0.02, 0.1, 0.25, 0.5))


def nice_top(value: float) -> float:
    """End of an axis that holds `value` and is not much longer: a round number whose half is round too."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 1.2, 1.6, 2, 3, 4, 5, 6, 8, 10) if step * power >= value)
