# SPDX-License-Identifier: Apache-2.0
"""Keeps malformed messages aside for people to look at: counted without end, kept within a bound."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from edgeml.fleet.store import tables as t
from edgeml.fleet.store.statements import count_up, storable

if TYPE_CHECKING:
    from edgeml.fleet.received import Rejected

QUARANTINE_ROWS_MAX: Final = 1000
QUARANTINE_PAYLOAD_BYTES_MAX: Final = 4096
TEXT_CHARACTERS_MAX: Final = 500


def quarantine(connection: sa.Connection, rejected: Sequence[Rejected], now_s: int) -> None:
    """Keep rejected messages; the oldest make room."""
    if not rejected:
        return
    rows = [
        {
            "received_s": now_s,
            "topic": storable(one.topic[:TEXT_CHARACTERS_MAX]),
            "reason": storable(one.reason[:TEXT_CHARACTERS_MAX]),
            "bytes": len(one.payload),
            "payload": one.payload[:QUARANTINE_PAYLOAD_BYTES_MAX],
        }
        for one in rejected[-QUARANTINE_ROWS_MAX:]
    ]
    connection.execute(sa.insert(t.quarantine), rows)
    newest = sa.select(t.quarantine.c.id).order_by(t.quarantine.c.id.desc()).limit(QUARANTINE_ROWS_MAX)
    connection.execute(sa.delete(t.quarantine).where(t.quarantine.c.id.not_in(newest.scalar_subquery())))
    count_up(connection, t.counter, "messages_quarantined", len(rejected))
