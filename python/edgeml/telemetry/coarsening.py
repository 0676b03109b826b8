# SPDX-License-Identifier: Apache-2.0
"""Makes room in a full spool: adjacent windows are added together, so that resolution goes and counts stay.

The finest and oldest windows go first. A pair is two rows that follow one another without a gap, of one model and schema,
with one noise scale and epsilon, neither of which the fleet may have: what was sent once stays as it was sent.
"""

from __future__ import annotations

import heapq
import itertools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from edgeml.errors import WireError
from edgeml.telemetry.spool_tables import WINDOW_COLUMNS, insert_window, read_window
from edgeml.telemetry.varint import pack_counts

if TYPE_CHECKING:
    import sqlite3

    from edgeml.telemetry.messages import Window

ROW_BYTES: Final = 96  # of a row beside its counts, about
MERGED_MAX: Final = 1 << 24  # windows in one; a count of one inference each second stays far below 2^40


@dataclass(frozen=True, kw_only=True)
class Coarsened:
    """What one pass did: `windows` are in `rows` rows now."""

    windows: int
    rows: int


def coarsen(connection: sqlite3.Connection, *, free_bytes: int, sent_upto: int) -> Coarsened | None:
    """Add pairs together until about `free_bytes` are free, in the caller's transaction; None if no pair is left."""
    rows = connection.execute(
        "SELECT seq, merged, length(packed_counts), model_id, schema_id, noise_numerator, noise_denominator,"
        " epsilon_micro FROM window WHERE seq > ? ORDER BY seq",
        (sent_upto,),
    ).fetchall()
    pairs = [
        (first[1] + second[1], first[0], second[0], min(first[2], second[2]) + ROW_BYTES)
        for first, second in itertools.pairwise(rows)
        if first[3:] == second[3:]
        and second[0] - second[1] == first[0]
        and first[0] - first[1] >= sent_upto  # a row that reaches back to what was sent is one of it
        and first[1] + second[1] <= MERGED_MAX
    ]
    heapq.heapify(pairs)
    taken: set[int] = set()
    windows = done = freed = 0
    while pairs and freed < free_bytes:
        merged, first, second, saved = heapq.heappop(pairs)
        if first in taken or second in taken:
            continue
        taken.update((first, second))
        if _add_pair(connection, first, second):
            windows, done, freed = windows + merged, done + 1, freed + saved
    return Coarsened(windows=windows, rows=done) if done else None


def _add_pair(connection: sqlite3.Connection, first: int, second: int) -> bool:
    query = f"SELECT {WINDOW_COLUMNS}, checksum FROM window WHERE seq IN (?, ?) ORDER BY seq"  # noqa: S608 - constant
    try:
        (a, day_a), (b, day_b) = map(read_window, connection.execute(query, (first, second)))
        whole = _sum(a, b)
    except (WireError, ZeroDivisionError, TypeError):
        return False  # damaged: Spool.windows finds it and says so
    connection.execute("DELETE FROM window WHERE seq IN (?, ?)", (first, second))
    insert_window(connection, whole, max(day_a, day_b))
    return True


def _sum(a: Window, b: Window) -> Window:
    if a.counts.shape != b.counts.shape:
        raise WireError("windows of one schema differ in length")
    return replace(
        b,
        merged=a.merged + b.merged,
        start=min(a.start, b.start),
        end=max(a.end, b.end),
        packed_counts=pack_counts(np.add(a.counts, b.counts)),
    )
