# SPDX-License-Identifier: Apache-2.0
"""The books of wire.md, section 5: what each device produced, what is stored, and what nobody has: `unaccounted`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from edgeml.fleet.store import tables as t


@dataclass(frozen=True, kw_only=True)
class Book:
    """Windows of one device, all its epochs together: produced = stored + waiting + lost + unaccounted."""

    tenant: str
    device: str
    produced: int
    stored: int
    waiting: int  # still on the device, by what it said last
    unaccounted: int  # deleted on the device and not stored: must be 0
    lost: int = 0  # destroyed by the device's medium, as it said


@dataclass(frozen=True, kw_only=True)
class Totals:
    """The books of all devices together."""

    produced: int
    stored: int
    waiting: int
    lost: int
    unaccounted: int


def totals(connection: sa.Connection) -> Totals:
    """Add up all books in the database."""
    e = t.epoch.c
    sums = sa.select(*(sa.func.coalesce(sa.func.sum(column), 0) for column in (e.produced, e.stored, e.lost)))
    produced, stored, lost = (int(value) for value in connection.execute(sums).one())
    unaccounted = sum(_gone_windows(connection).values())
    return Totals(
        produced=produced,
        stored=stored,
        waiting=produced - stored - lost - unaccounted,
        lost=lost,
        unaccounted=unaccounted,
    )


def devices_with_gaps(connection: sa.Connection, limit: int) -> list[int]:
    """Ids of devices that have unaccounted windows, most first."""
    of_device: dict[int, int] = {}
    for (device_id, _), windows in _gone_windows(connection).items():
        of_device[device_id] = of_device.get(device_id, 0) + windows
    worst = sorted(of_device, key=lambda one: (-of_device[one], one))
    return [one for one in worst if of_device[one]][:limit]


def books(connection: sa.Connection, device_ids: Sequence[int] | None = None) -> list[Book]:
    """One book per device (None: of all), by name."""
    gone = _gone_windows(connection)
    query = (
        sa.select(t.device.c.id, t.device.c.tenant, t.device.c.name, t.epoch)
        .join_from(t.device, t.epoch, t.epoch.c.device_id == t.device.c.id, isouter=True)
        .order_by(t.device.c.tenant, t.device.c.name)
    )
    if device_ids is not None:
        query = query.where(t.device.c.id.in_(device_ids))
    sums: dict[tuple[str, str], list[int]] = {}
    for row in connection.execute(query):
        entry = sums.setdefault((row.tenant, row.name), [0, 0, 0, 0])
        if row.produced is not None:
            entry[0] += row.produced
            entry[1] += row.stored
            entry[2] += row.lost
            entry[3] += gone.get((row.device_id, row.epoch), 0)
    return [
        Book(
            tenant=tenant,
            device=name,
            produced=produced,
            stored=stored,
            waiting=produced - stored - lost - unaccounted,
            lost=lost,
            unaccounted=unaccounted,
        )
        for (tenant, name), (produced, stored, lost, unaccounted) in sums.items()
    ]


def _gone_windows(connection: sa.Connection) -> dict[tuple[int, bytes], int]:
    """Unaccounted windows of the epochs that have any: seqs in (contiguous_upto, spool_from) not stored or lost."""
    between = sa.and_(
        t.window.c.epoch_id == t.epoch.c.id,
        t.window.c.seq > t.epoch.c.contiguous_upto,
        t.window.c.seq < t.epoch.c.spool_from,
    )
    lost = (
        sa.select(sa.func.coalesce(sa.func.sum(t.lost_window.c.merged), 0))
        .where(
            t.lost_window.c.epoch_id == t.epoch.c.id,
            t.lost_window.c.seq > t.epoch.c.contiguous_upto,
            t.lost_window.c.seq < t.epoch.c.spool_from,
        )
        .scalar_subquery()
        .label("lost_between")
    )
    query = (
        sa.select(t.epoch.c.device_id, t.epoch.c.epoch, t.epoch.c.contiguous_upto, t.epoch.c.spool_from, lost)
        .add_columns(sa.func.coalesce(sa.func.sum(t.window.c.merged), 0).label("stored_between"))
        .join_from(t.epoch, t.window, between, isouter=True)
        .where(t.epoch.c.spool_from - 1 > t.epoch.c.contiguous_upto)
        .group_by(t.epoch.c.id, t.epoch.c.device_id, t.epoch.c.epoch, t.epoch.c.contiguous_upto, t.epoch.c.spool_from)
    )
    return {
        (row.device_id, row.epoch): row.spool_from
        - 1
        - row.contiguous_upto
        - int(row.stored_between + row.lost_between)
        for row in connection.execute(query)
    }
