# SPDX-License-Identifier: Apache-2.0
"""The newest periods of each device, found by index: the cost does not grow with how much history there is."""

from __future__ import annotations

import sqlalchemy as sa

from edgeml.fleet.store import tables as t


def newest_of(device_id: sa.ColumnElement[int], count: int) -> sa.ColumnElement[int]:
    """Start of the `count`-th newest period of a device of the enclosing query; before all time where it has fewer."""
    starts = sa.select(t.rollup.c.period_start_s).where(t.rollup.c.device_id == device_id).distinct()
    nth = starts.order_by(t.rollup.c.period_start_s.desc()).limit(1).offset(count - 1)
    return sa.func.coalesce(nth.correlate_except(t.rollup).scalar_subquery(), -1)
