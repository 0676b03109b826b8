# SPDX-License-Identifier: Apache-2.0
"""Forgets what is old: windows after RAW_DAYS, drift of single features after FINE_DAYS; hours become days, for ever.

Books stay closed: a window is deleted only below `contiguous_upto` of its epoch, where its absence means nothing (a
repetition is known by its number), and only when it is in the roll-ups.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from edgeml.fleet.store import tables as t
from edgeml.fleet.store.engine import writing
from edgeml.fleet.store.rollup import RollUp, RollUpKey, counts_of

DAY_S: Final = 86_400
RAW_DAYS: Final = 30
FINE_DAYS: Final = 8  # more than HISTORY_PERIODS of an hour
ROWS_PER_TRANSACTION: Final = 5000  # collectors wait no longer than these take
DEVICES_PER_TRANSACTION: Final = 500


def retain(engine: sa.Engine, *, now_s: int, raw_days: int = RAW_DAYS, fine_days: int = FINE_DAYS) -> None:
    """Do all that is due, in short transactions; several processes may do it at once."""
    after: int | None = -1
    while after is not None:
        with writing(engine) as connection:
            after = forget_windows(connection, before_s=now_s - raw_days * DAY_S, after=after)
    fine_from_s = (now_s // DAY_S - fine_days) * DAY_S
    more = True
    while more:
        with writing(engine) as connection:
            more = hours_to_days(connection, before_s=fine_from_s) > 0
    with writing(engine) as connection:
        devices = connection.execute(sa.select(t.device.c.id).order_by(t.device.c.id)).scalars().all()
    for first in range(0, len(devices), DEVICES_PER_TRANSACTION):
        some = devices[first : first + DEVICES_PER_TRANSACTION]
        with writing(engine) as connection:
            old = t.drift.c.device_id.in_(some) & (t.drift.c.period_start_s < fine_from_s)
            connection.execute(sa.delete(t.drift).where(old))


def forget_windows(connection: sa.Connection, *, before_s: int, after: int) -> int | None:
    """Delete windows received before `before_s` among the oldest rows behind row `after`; gives where to go on.

    Rows are numbered as they came in, so the old ones are found without an index on the time.
    """
    w = t.window.c
    oldest = sa.select(w.id, w.received_s).where(w.id > after).order_by(w.id).limit(ROWS_PER_TRANSACTION)
    rows = connection.execute(oldest).all()
    if not rows or rows[0].received_s >= before_s:
        return None
    last: int = rows[-1].id
    upto = sa.select(t.epoch.c.contiguous_upto).where(t.epoch.c.id == w.epoch_id).scalar_subquery()
    is_over = (w.id > after) & (w.id <= last) & (w.received_s < before_s) & (w.state != t.WAITING) & (w.seq <= upto)
    connection.execute(sa.delete(t.window).where(is_over))
    return last


def hours_to_days(connection: sa.Connection, *, before_s: int) -> int:
    """Add roll-ups of periods that ended before `before_s`, the start of a day, to those of their days."""
    r = t.rollup.c
    old = sa.select(t.rollup).where(r.period_start_s < before_s, r.tested).limit(ROWS_PER_TRANSACTION)
    rows = connection.execute(old.with_for_update()).all()
    days = RollUp()
    for row in rows:
        key = RollUpKey(*(getattr(row, name) for name in RollUpKey._fields))
        key = key._replace(period_start_s=row.period_start_s - row.period_start_s % DAY_S)
        days.add(key, counts_of(row.counts), merged=row.releases, windows=row.windows)
    days.write(connection, t.rollup_day)
    connection.execute(sa.delete(t.rollup).where(r.id.in_([row.id for row in rows])))
    return len(rows)
