# SPDX-License-Identifier: Apache-2.0
"""The audit log: who did what to which dataset, model, metric, deployment, budget or operator; hash-chained, append-only.

An entry's hash covers everything before it (docs/design/release.md, section 1), so a byte that is changed, a row that is gone
or moved, is found by `verify`. Rows cut off at the end are found by the head that the store keeps, and by a head that was noted
elsewhere: whoever can write the store can write its head too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import sqlalchemy as sa

from edgeml.artifact import canonical_json
from edgeml.errors import UsageError
from edgeml.fleet.store.release_tables import audit, audit_head
from edgeml.fleet.store.statements import insert_new, storable
from edgeml.privacy.chain import HASH_BYTES, linked

Kind = Literal["dataset", "model", "metric", "deployment", "budget", "operator"]

GENESIS: Final = hashlib.sha256(b"edgeml audit 1\0").digest()
_HEAD_ROW: Final = 1


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One row of the log."""

    number: int
    time_s: int
    actor: str
    kind: str
    subject: str
    detail: str  # canonical JSON
    hash: bytes

    def link(self, previous: bytes) -> bytes:
        """The hash that this entry must have after `previous`: each field is preceded by its length, 8 bytes big-endian."""
        texts = (self.actor, self.kind, self.subject, self.detail)
        fields = [str(self.number).encode(), str(self.time_s).encode(), *(text.encode() for text in texts)]
        return linked(previous, b"".join(len(field).to_bytes(8, "big") + field for field in fields))


@dataclass(frozen=True, kw_only=True)
class Head:
    """Where a log ends: number and hash of its last entry; 0 and GENESIS for an empty one. Its text is NUMBER:HEX."""

    number: int = 0
    hash: bytes = GENESIS

    def __str__(self) -> str:
        return f"{self.number}:{self.hash.hex()}"

    @classmethod
    def from_text(cls, text: str) -> Head:
        """Read what __str__ writes.

        Raises:
            UsageError: it is something else.
        """
        number, colon, digits = text.partition(":")
        try:
            head = cls(number=int(number), hash=bytes.fromhex(digits))
        except ValueError:
            head = cls(number=-1)
        if not colon or head.number < 0 or len(head.hash) != HASH_BYTES:
            raise UsageError(f"audit head {text!r:.100} is not NUMBER:HEX, as `edgeml fleet audit head` prints it")
        return head


def append(  # noqa: PLR0913 - the columns of an entry
    connection: sa.Connection, kind: Kind, subject: str, detail: Mapping[str, Any], *, actor: str, time_s: int
) -> Entry:
    """Add an entry inside the caller's writing transaction: it is in the log if and only if what it tells of was done."""
    insert_new(connection, audit_head, [{"id": _HEAD_ROW, "number": 0, "hash": GENESIS}])
    head = connection.execute(sa.select(audit_head).where(audit_head.c.id == _HEAD_ROW).with_for_update()).one()
    fields = {
        "number": head.number + 1,
        "time_s": time_s,
        "actor": storable(actor),
        "kind": kind,
        "subject": storable(subject),
        "detail": storable(canonical_json.dump(detail).decode()),
    }
    entry = Entry(**fields, hash=b"")
    entry = Entry(**fields, hash=entry.link(head.hash))
    connection.execute(sa.insert(audit).values(**vars(entry)))
    connection.execute(
        sa.update(audit_head).where(audit_head.c.id == _HEAD_ROW).values(number=entry.number, hash=entry.hash)
    )
    return entry


def entries(connection: sa.Connection, *, newest: int | None = None) -> list[Entry]:
    """The log in order; with `newest`, only so many entries at its end."""
    query = sa.select(audit).order_by(audit.c.number.desc()).limit(newest)
    return [Entry(**row._mapping) for row in reversed(connection.execute(query).all())]  # noqa: SLF001 - the name of SQLAlchemy's API


def stored_head(connection: sa.Connection) -> Head:
    """The head that the store keeps beside the log."""
    row = connection.execute(sa.select(audit_head).where(audit_head.c.id == _HEAD_ROW)).one_or_none()
    return Head() if row is None else Head(number=row.number, hash=row.hash)


def verify(log: Iterable[Entry], *heads: Head) -> str | None:
    """The first thing that is wrong with a log, as a sentence; None where nothing is.

    heads: where the log ended according to the store, or when somebody noted it; a log may have gone on since, except that
    the first of them, the store's own, must be its end.
    """
    previous, number = GENESIS, 0
    hashes = {0: GENESIS}
    for entry in log:
        if entry.number != number + 1:
            return f"entry {number + 1} is missing: entry {entry.number} follows entry {number}"
        if entry.link(previous) != entry.hash:
            return f"entry {entry.number} does not fit its hash: it or an entry before it was changed"
        previous, number = entry.hash, entry.number
        hashes[number] = previous
    for place, head in enumerate(heads):
        if head.number > number:
            return f"entries {number + 1} to {head.number} are missing at the end"
        if hashes[head.number] != head.hash:
            return f"entry {head.number} is not the one whose hash was noted: the log was written anew"
        if place == 0 and head.number != number:
            return f"the log has {number} entries, its head says {head.number}"
    return None
