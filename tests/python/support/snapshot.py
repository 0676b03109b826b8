# SPDX-License-Identifier: Apache-2.0
"""What must come out the same however messages came in: windows, roll-ups and books, without row numbers and clocks."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from edgeml.fleet.store import tables as t
from edgeml.fleet.store.engine import reading


def snapshot(engine: sa.Engine) -> dict[str, list[tuple[Any, ...]]]:
    """Sorted rows of the tables that the order of messages must not change."""
    named = sa.select(t.device.c.tenant, t.device.c.name, t.epoch.c.epoch)
    windows = named.add_columns(
        *(c for c in t.window.c if c.name not in {"id", "epoch_id", "device_id", "received_s"})
    ).select_from(t.window.join(t.epoch, t.window.c.epoch_id == t.epoch.c.id).join(t.device))
    epochs = named.add_columns(*(c for c in t.epoch.c if c.name not in {"id", "device_id", "epoch"})).select_from(
        t.epoch.join(t.device)
    )
    rollups = sa.select(t.device.c.name, *(c for c in t.rollup.c if c.name not in {"id", "device_id"})).select_from(
        t.rollup.join(t.device)
    )
    with reading(engine) as connection:
        return {
            name: sorted(tuple(row) for row in connection.execute(query))
            for name, query in (("windows", windows), ("epochs", epochs), ("rollups", rollups))
        }
