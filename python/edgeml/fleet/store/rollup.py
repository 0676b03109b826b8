# SPDX-License-Identifier: Apache-2.0
"""Sums of windows per device, model, period and noise scale: all integers, so that the order of adding is no matter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import sqlalchemy as sa

from edgeml.fleet.store import tables as t
from edgeml.fleet.store.statements import insert_new
from edgeml.telemetry.varint import unpack_counts

if TYPE_CHECKING:
    from numpy.typing import NDArray

WAITING_WINDOWS_PER_CALL: Final = 10_000


class RollUpKey(NamedTuple):
    """What the windows of one row have in common; fields are columns."""

    device_id: int
    period_start_s: int
    model_id: bytes
    schema_id: bytes
    noise_numerator: int
    noise_denominator: int


@dataclass
class _Sum:
    counts: NDArray[np.int64]
    windows: int = 0
    releases: int = 0


class RollUp:
    """Adds up windows in memory, then adds the sums to their rows in the store.

    The caller's transaction inserted each of these windows, or moved it out of the state WAITING: nothing counts twice.
    """

    def __init__(self) -> None:
        self._sums: dict[RollUpKey, _Sum] = {}

    def add(self, key: RollUpKey, counts: NDArray[np.int64], *, merged: int, windows: int = 1) -> None:
        """Add windows: `counts`, as long as their schema says, of `merged` releases."""
        entry = self._sums.get(key)
        if entry is None:
            entry = self._sums[key] = _Sum(np.zeros(len(counts), dtype=np.int64))
        entry.counts += counts
        entry.windows += windows
        entry.releases += merged

    def write(self, connection: sa.Connection, table: sa.Table = t.rollup) -> None:
        """Add the sums to the rows of `table`: rollup or rollup_day."""
        if not self._sums:
            return
        changed = {"tested": False} if "tested" in table.c else {}
        new = {"windows": 0, "releases": 0, "counts": b"", **changed}
        insert_new(connection, table, [key._asdict() | new for key in sorted(self._sums)])
        query = (
            sa.select(table)
            .where(
                table.c.device_id.in_(sorted({key.device_id for key in self._sums})),
                table.c.period_start_s.in_(sorted({key.period_start_s for key in self._sums})),
            )
            .order_by(table.c.id)
            .with_for_update()
        )
        changes = []
        for row in connection.execute(query):
            entry = self._sums.get(RollUpKey(*(getattr(row, name) for name in RollUpKey._fields)))
            if entry is not None:
                counts = entry.counts + counts_of(row.counts) if row.counts else entry.counts
                changes.append(
                    {
                        "row": row.id,
                        "windows": row.windows + entry.windows,
                        "releases": row.releases + entry.releases,
                        "counts": counts.astype("<i8").tobytes(),
                        **changed,
                    }
                )
        update = sa.update(table).where(table.c.id == sa.bindparam("row"))
        connection.execute(update, changes)


def counts_of(stored: bytes) -> NDArray[np.int64]:
    """Unpack the vector in a row of the roll-up table."""
    return np.frombuffer(stored, dtype="<i8").astype(np.int64)


def roll_up_waiting(connection: sa.Connection, *, period_s: int) -> int:
    """Roll up windows that waited for their schema and now have it; gives how many windows were looked at.

    At most WAITING_WINDOWS_PER_CALL of them: a transaction should end soon. Vectors of a wrong length are refused.
    """
    query = (
        sa.select(t.window, t.telemetry_schema.c.slots)
        .join(t.telemetry_schema, t.telemetry_schema.c.schema_id == t.window.c.schema_id)
        .where(t.window.c.state == t.WAITING)
        .limit(WAITING_WINDOWS_PER_CALL)
        .with_for_update(of=t.window)
    )
    rollup = RollUp()
    states = []
    for row in connection.execute(query):
        counts = unpack_counts(row.packed_counts)
        fits = len(counts) == row.slots
        states.append({"row": row.id, "state": t.ROLLED_UP if fits else t.REFUSED})
        if fits:
            key = RollUpKey(
                device_id=row.device_id,
                period_start_s=row.start_s - row.start_s % period_s,
                model_id=row.model_id,
                schema_id=row.schema_id,
                noise_numerator=row.noise_numerator,
                noise_denominator=row.noise_denominator,
            )
            rollup.add(key, counts, merged=row.merged)
    if states:
        connection.execute(sa.update(t.window).where(t.window.c.id == sa.bindparam("row")), states)
    rollup.write(connection)
    return len(states)
