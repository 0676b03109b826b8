# SPDX-License-Identifier: Apache-2.0
"""Windows that a device made and its medium destroyed: the books count them, and contiguous_upto passes over them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import sqlalchemy as sa

from edgeml.fleet.store import tables as t

Span = tuple[int, int]  # first seq, last seq


def add_lost(connection: sa.Connection, epoch_id: int, ranges: Iterable[Span], *, above: int) -> int:
    """Note ranges of lost seqs above `above`; what is stored or noted already is left out. Gives how many are new."""
    ranges = sorted({(max(first, above + 1), last) for first, last in ranges if last > above})
    if not ranges:
        return 0
    taken = sorted(_spans(connection, t.window, epoch_id, above) + _spans(connection, t.lost_window, epoch_id, above))
    new = [span for one in ranges for span in _minus(one, taken)]
    rows = [{"epoch_id": epoch_id, "seq": last, "merged": last - first + 1} for first, last in new]
    if rows:
        connection.execute(sa.insert(t.lost_window), rows)
    return sum(row["merged"] for row in rows)


def _spans(connection: sa.Connection, table: sa.Table, epoch_id: int, above: int) -> list[Span]:
    query = sa.select(table.c.seq, table.c.merged).where(table.c.epoch_id == epoch_id, table.c.seq > above)
    return [(seq - merged + 1, seq) for seq, merged in connection.execute(query)]


def _minus(one: Span, taken: Sequence[Span]) -> list[Span]:
    """Parts of a span that no taken span covers; `taken` ascends."""
    first, last = one
    parts = []
    for begin, end in taken:
        if end < first or begin > last:
            continue
        if begin > first:
            parts.append((first, begin - 1))
        first = max(first, end + 1)
    if first <= last:
        parts.append((first, last))
    return parts
