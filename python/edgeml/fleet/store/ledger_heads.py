# SPDX-License-Identifier: Apache-2.0
"""Finds reports of a copied state: a restored card, or two devices with one epoch (docs/design/wire.md, section 4).

Of each epoch the newest ledger entry that a report has told is known. A report is refused if its head has the known number
and another hash, if one of its windows is stored with other contents, or if its head is lower and it brings anything new.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import sqlalchemy as sa

from edgeml.fleet.received import Received
from edgeml.fleet.store import tables as t
from edgeml.privacy.ledger import Head
from edgeml.telemetry.messages import Report, Window

EpochKey = tuple[int, bytes]  # device id, epoch
Items = Sequence[tuple[Received, Report]]

FORKED: Final = "ledger_forked"  # event

_CONTENTS: Final = (
    *(t.window.c.model_id, t.window.c.schema_id, t.window.c.start_s, t.window.c.end_s, t.window.c.packed_counts),
    *(t.window.c.noise_numerator, t.window.c.noise_denominator, t.window.c.merged, t.window.c.epsilon_micro),
)


@dataclass(frozen=True, kw_only=True)
class Refused:
    """A report that changes nothing. `is_copy`: certainly of a copied state, so people are told."""

    key: EpochKey
    received: Received
    reason: str
    head: Head
    is_copy: bool


@dataclass(kw_only=True)
class Judged:
    """The reports of a batch, and the newest head of each epoch once those that are kept are stored."""

    kept: dict[EpochKey, list[tuple[Received, Report]]] = field(default_factory=dict)
    refused: list[Refused] = field(default_factory=list)
    heads: dict[EpochKey, Head] = field(default_factory=dict)


def judge(
    connection: sa.Connection, reports: Mapping[EpochKey, Items], epochs: Mapping[EpochKey, sa.Row[Any]]
) -> Judged:
    """Judge reports in their order; the epochs are locked."""
    judged = Judged()
    for key, items in reports.items():
        row = epochs[key]
        head = Head(entries=row.ledger_entries, hash=row.ledger_hash)
        seen = _stored(connection, row, items)
        kept = judged.kept.setdefault(key, [])
        for received, report in items:
            told = report.ledger_head
            offered = {window.seq: _contents(window) for window in report.windows}
            is_new = bool(report.lost) or any(seq not in seen for seq in offered)
            changed = next((s for s, contents in offered.items() if seen.get(s, contents) != contents), None)
            torn = next((w.seq for w in report.windows if w.first_seq <= row.contiguous_upto < w.seq), None)
            if changed is not None or torn is not None:
                reason = f"window {torn if changed is None else changed} is stored with other contents"
            elif told.entries == head.entries and told.hash != head.hash:
                reason = f"entry {told.entries} of the ledger is known with another hash"
            elif told.entries < head.entries and is_new:
                reason = f"the ledger's newest entry is {told.entries}, the known one {head.entries}"
            else:
                seen.update(offered)
                kept.append((received, report))
                head = max(head, told, key=lambda one: one.entries)
                continue
            is_copy = told.entries >= head.entries or changed is not None or torn is not None
            judged.refused.append(Refused(key=key, received=received, reason=reason, head=told, is_copy=is_copy))
        judged.heads[key] = head
    return judged


def event_row(refused: Refused, known: Head, now_s: int) -> dict[str, Any]:
    """Row of the event table that tells two copies apart; the same copy at the same entry is told of once."""
    device_id, epoch = refused.key
    told = refused.head
    detail = (
        f"two states go on with epoch {epoch.hex()}: one is at ledger entry {known.entries} ({known.hash.hex()[:16]}),"
        f" the other at {told.entries} ({told.hash.hex()[:16]}); a card was restored or cloned: {refused.reason}"
    )
    digest = hashlib.sha256(FORKED.encode() + epoch + told.hash).digest()[:16]
    return {"device_id": device_id, "digest": digest, "kind": FORKED, "time_s": now_s, "detail": detail}


def _stored(connection: sa.Connection, row: sa.Row[Any], items: Items) -> dict[int, tuple[Any, ...]]:
    """Contents of the offered windows that are stored already; asks only where there can be any."""
    offered = sorted({window.seq for _, report in items for window in report.windows})
    if row.stored + row.lost == row.contiguous_upto:  # none above
        offered = [seq for seq in offered if seq <= row.contiguous_upto]
    if not offered:
        return {}
    query = sa.select(t.window.c.seq, *_CONTENTS)
    rows = connection.execute(query.where(t.window.c.epoch_id == row.id, t.window.c.seq.in_(offered)))
    return {stored.seq: tuple(stored[1:]) for stored in rows}


def _contents(window: Window) -> tuple[Any, ...]:
    """Values of _CONTENTS."""
    scale = window.noise_scale
    return (
        *(window.model_id, window.schema_id, window.start, window.end, window.packed_counts),
        *(scale.numerator, scale.denominator, window.merged, window.epsilon_micro),
    )
