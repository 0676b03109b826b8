# SPDX-License-Identifier: Apache-2.0
"""What ran on which device since when, as the devices' births tell: the answer to "what ran on D at 14:03"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from edgeml.fleet.received import Received
from edgeml.fleet.store import tables as t
from edgeml.fleet.store.release_tables import running
from edgeml.fleet.store.statements import insert_new, storable
from edgeml.telemetry.messages import Birth


def note_running(
    connection: sa.Connection, batch: Sequence[Received], device_ids: Mapping[tuple[str, str], int]
) -> None:
    """Add a row for each birth that names another model than the device's newest row does."""
    births = [
        (device_ids[one.topic.tenant, one.topic.device], one.message) for one in batch if isinstance(one.message, Birth)
    ]
    if not births:
        return
    newest = _newest(connection, {device_id for device_id, _ in births})
    rows = []
    for device_id, birth in sorted(births, key=lambda pair: (pair[0], pair[1].time)):
        since_s, model_id = newest.get(device_id, (-1, b""))
        if birth.model_id != model_id and birth.time > since_s:
            name = storable(birth.model_name)
            rows.append({"device_id": device_id, "since_s": birth.time, "model_id": birth.model_id, "model_name": name})
            newest[device_id] = (birth.time, birth.model_id)
    insert_new(connection, running, rows)


def running_at(connection: sa.Connection, time_s: int) -> list[Any]:
    """Every device with what it ran at a moment: tenant, name, since_s, model_id, model_name; None before its first birth."""
    latest = (
        sa.select(running.c.device_id, sa.func.max(running.c.since_s).label("since_s"))
        .where(running.c.since_s <= time_s)
        .group_by(running.c.device_id)
        .subquery()
    )
    query = (
        sa.select(t.device.c.tenant, t.device.c.name, running.c.since_s, running.c.model_id, running.c.model_name)
        .select_from(t.device)
        .outerjoin(latest, latest.c.device_id == t.device.c.id)
        .outerjoin(running, sa.and_(running.c.device_id == latest.c.device_id, running.c.since_s == latest.c.since_s))
        .order_by(t.device.c.tenant, t.device.c.name)
    )
    return list(connection.execute(query).all())


def _newest(connection: sa.Connection, device_ids: set[int]) -> dict[int, tuple[int, bytes]]:
    query = sa.select(running).where(running.c.device_id.in_(sorted(device_ids))).order_by(running.c.since_s)
    return {row.device_id: (row.since_s, row.model_id) for row in connection.execute(query)}
