# SPDX-License-Identifier: Apache-2.0
"""Tables of the spool's file, and the row of a window with its checksum."""

from __future__ import annotations

import zlib
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

from edgeml.errors import WireError
from edgeml.privacy.ledger import LEDGER_TABLES
from edgeml.telemetry.messages import Window

if TYPE_CHECKING:
    import sqlite3

SPOOL_TABLES: Final = (
    *LEDGER_TABLES,
    """CREATE TABLE IF NOT EXISTS spool (      -- one row
        epoch BLOB NOT NULL CHECK (length(epoch) = 8),
        produced INTEGER NOT NULL,             -- highest seq so far
        acked_upto INTEGER NOT NULL,           -- the fleet has everything up to here: rows above cover the rest
        acked_at INTEGER,                      -- unix seconds of the last ack that was news
        sent_upto INTEGER NOT NULL             -- the fleet may have windows up to here: they stay as they are
    ) STRICT""",
    """CREATE TABLE IF NOT EXISTS window (
        seq INTEGER PRIMARY KEY,
        merged INTEGER NOT NULL,               -- windows in it: seq - merged + 1 up to seq
        model_id BLOB NOT NULL,
        schema_id BLOB NOT NULL,
        start INTEGER NOT NULL,
        "end" INTEGER NOT NULL,
        packed_counts BLOB NOT NULL,
        noise_numerator INTEGER NOT NULL,
        noise_denominator INTEGER NOT NULL,
        epsilon_micro INTEGER NOT NULL,
        day INTEGER NOT NULL,                  -- that paid for it: it is not sent before
        checksum INTEGER NOT NULL              -- CRC-32 of the rest: a medium may change a bit
    ) STRICT""",
    # Ranges of seqs whose rows the medium has destroyed, until the fleet has acknowledged the loss.
    "CREATE TABLE IF NOT EXISTS lost (last INTEGER PRIMARY KEY, first INTEGER NOT NULL) STRICT",
    """CREATE TABLE IF NOT EXISTS event (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        kind TEXT NOT NULL,
        time INTEGER NOT NULL,
        detail TEXT NOT NULL
    ) STRICT""",
)
WINDOW_COLUMNS: Final = (
    'seq, merged, model_id, schema_id, start, "end", packed_counts, noise_numerator, noise_denominator,'
    " epsilon_micro, day"
)


def insert_window(connection: sqlite3.Connection, window: Window, day: int) -> None:
    """Add a window; its seq must be new."""
    row = (
        *(window.seq, window.merged, window.model_id, window.schema_id, window.start, window.end, window.packed_counts),
        *(window.noise_scale.numerator, window.noise_scale.denominator, window.epsilon_micro, day),
    )
    connection.execute(
        f"INSERT INTO window ({WINDOW_COLUMNS}, checksum) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608
        (*row, _checksum(row)),
    )


def read_window(row: tuple[Any, ...]) -> tuple[Window, int]:
    """Window and day of a row of WINDOW_COLUMNS and checksum.

    Raises:
        WireError: the medium has changed it.
    """
    *values, checksum = row
    if _checksum(tuple(values)) != checksum:
        raise WireError("its checksum is wrong")
    seq, merged, model_id, schema_id, start, end, packed_counts, numerator, denominator, epsilon_micro, day = values
    window = Window(
        seq=seq,
        merged=merged,
        model_id=model_id,
        schema_id=schema_id,
        start=start,
        end=end,
        packed_counts=packed_counts,
        noise_scale=Fraction(numerator, denominator),
        epsilon_micro=epsilon_micro,
    )
    return window, day


def _checksum(row: tuple[Any, ...]) -> int:
    return zlib.crc32(repr(row).encode())
