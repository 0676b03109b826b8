# SPDX-License-Identifier: Apache-2.0
"""Takes a batch of messages into the store: one transaction, in which a repeated message changes nothing.

Whatever the order, the repetitions and the number of collectors, the windows, roll-ups and books come out the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa

from edgeml.fleet.received import Received, Rejected
from edgeml.fleet.store import tables as t
from edgeml.fleet.store.ledger_heads import Judged, event_row, judge
from edgeml.fleet.store.lost_windows import add_lost
from edgeml.fleet.store.quarantine import quarantine
from edgeml.fleet.store.rollup import RollUp, RollUpKey
from edgeml.fleet.store.running import note_running
from edgeml.fleet.store.statements import count_up, insert_many, insert_new, storable
from edgeml.privacy.ledger import Head
from edgeml.telemetry.messages import HOLES_MAX, NO_HEAD, Ack, Birth, Event, LastWill, Report, Window
from edgeml.telemetry.topics import Topic

SEQS_PER_ACK_MAX: Final = 4 * HOLES_MAX  # how far a batch moves contiguous_upto at most; the next one goes on

WINDOW_COLUMNS: Final = tuple(column for column in t.window.c if column is not t.window.c.id)


@dataclass(frozen=True, kw_only=True)
class AckTo:
    """An ack and where it goes; valid once the transaction is committed."""

    topic: Topic
    ack: Ack


def take_in(
    connection: sa.Connection, messages: Iterable[Received | Rejected], *, now_s: int, period_s: int
) -> list[AckTo]:
    """Store a batch inside the caller's writing transaction; gives the acks to send after its commit.

    `period_s` is the length of a roll-up period.
    """
    batch = [message for message in messages if isinstance(message, Received)]
    rejected = [message for message in messages if isinstance(message, Rejected)]
    batch, misfits = _apart_by_length(connection, batch)
    device_ids = _device_ids(connection, batch, now_s)
    _update_devices(connection, batch, device_ids, now_s)
    note_running(connection, batch, device_ids)
    _insert_events(connection, batch, device_ids)
    copies, acks = _insert_reports(connection, batch, device_ids, now_s=now_s, period_s=period_s)
    acks += _answers_to_births(connection, batch, device_ids, {(str(to.topic), to.ack.epoch) for to in acks})
    quarantine(connection, [*rejected, *misfits, *copies], now_s)
    return acks


def _answers_to_births(
    connection: sa.Connection,
    batch: Sequence[Received],
    device_ids: Mapping[tuple[str, str], int],
    answered: Container[tuple[str, bytes]],
) -> list[AckTo]:
    """What the store knows of the epochs that devices have come up with: they wait for it."""
    born: dict[tuple[int, bytes], Topic] = {}
    for received in batch:
        if isinstance(received.message, Birth) and not received.retained:
            topic = Topic(tenant=received.topic.tenant, device=received.topic.device, channel="ack")
            if (str(topic), received.message.epoch) not in answered:
                born[device_ids[topic.tenant, topic.device], received.message.epoch] = topic
    if not born:
        return []
    query = sa.select(t.epoch).where(sa.tuple_(t.epoch.c.device_id, t.epoch.c.epoch).in_(sorted(born)))
    known = {(row.device_id, row.epoch): row for row in connection.execute(query)}
    return [
        AckTo(
            topic=topic,
            ack=Ack(epoch=key[1], contiguous_upto=known[key].contiguous_upto, ledger_head=_known_head(known[key]))
            if key in known
            else Ack(epoch=key[1], contiguous_upto=0),
        )
        for key, topic in born.items()
    ]


def _known_head(row: sa.Row[Any]) -> Head:
    return Head(entries=row.ledger_entries, hash=row.ledger_hash) if row.ledger_entries else NO_HEAD


def _apart_by_length(connection: sa.Connection, batch: Sequence[Received]) -> tuple[list[Received], list[Rejected]]:
    """Set apart reports with a vector that is not as long as its schema, where that is known: they are malformed."""
    slots = slots_of_schemas(connection, {w.schema_id for r in batch for w in _windows(r)})
    kept: list[Received] = []
    misfits: list[Rejected] = []
    for received in batch:
        wrong = next(
            (
                f"window {window.seq} has {len(counts)} slots, its schema has {slots[window.schema_id]}"
                for window, counts in zip(_windows(received), received.counts, strict=True)
                if slots.get(window.schema_id, len(counts)) != len(counts)
            ),
            None,
        )
        if wrong is None:
            kept.append(received)
        else:
            misfits.append(Rejected(topic=str(received.topic), payload=received.payload, reason=wrong))
    return kept, misfits


def slots_of_schemas(connection: sa.Connection, schema_ids: Iterable[bytes]) -> dict[bytes, int]:
    """Vector length of each of these schemas that the store knows."""
    query = sa.select(t.telemetry_schema.c.schema_id, t.telemetry_schema.c.slots)
    rows = connection.execute(query.where(t.telemetry_schema.c.schema_id.in_(sorted(schema_ids))))
    return {row.schema_id: row.slots for row in rows}


def _windows(received: Received) -> tuple[Window, ...]:
    return received.message.windows if isinstance(received.message, Report) else ()


def _device_ids(connection: sa.Connection, batch: Sequence[Received], now_s: int) -> dict[tuple[str, str], int]:
    """Rows of the devices, locked in the order of their ids; new ones are made."""
    names = sorted({(r.topic.tenant, r.topic.device) for r in batch})
    known = _lock_devices(connection, names)
    missing = [name for name in names if name not in known]
    if not missing:
        return known
    rows = [
        {
            "tenant": tenant,
            "name": name,
            "first_seen_s": now_s,
            "last_seen_s": now_s,
            "online": True,
            "epsilon_spent_micro": 0,
            "epsilon_budget_micro": 0,
        }
        for tenant, name in missing
    ]
    insert_new(connection, t.device, rows)
    return known | _lock_devices(connection, missing)


def _lock_devices(connection: sa.Connection, names: Sequence[tuple[str, str]]) -> dict[tuple[str, str], int]:
    query = sa.select(t.device.c.id, t.device.c.tenant, t.device.c.name)
    query = query.where(sa.tuple_(t.device.c.tenant, t.device.c.name).in_(names))
    rows = connection.execute(query.order_by(t.device.c.id).with_for_update())
    return {(row.tenant, row.name): row.id for row in rows}


def _update_devices(
    connection: sa.Connection, batch: Sequence[Received], device_ids: Mapping[tuple[str, str], int], now_s: int
) -> None:
    """Identity, budget and sign of life; the last message of the batch counts."""
    changes: dict[int, dict[str, Any]] = {}
    for received in batch:
        change = changes.setdefault(device_ids[received.topic.tenant, received.topic.device], {})
        message = received.message
        if isinstance(message, LastWill):
            change["online"] = False
            continue
        if not received.retained:
            change |= {"online": True, "last_seen_s": now_s}
        if isinstance(message, Birth):
            change |= {name: storable(getattr(message, name)) for name in ("edgeml_version", "isa", "model_name")}
            change |= {"model_id": message.model_id, "schema_id": message.schema_id}
        elif isinstance(message, Report):
            change["epsilon_spent_micro"] = message.epsilon_spent_micro
            change["epsilon_budget_micro"] = message.epsilon_budget_micro
    alike: dict[tuple[str, ...], list[dict[str, Any]]] = {}  # rows that change the same columns share a statement
    for device_id, change in sorted(changes.items()):
        if change:
            alike.setdefault(tuple(sorted(change)), []).append({"row": device_id} | change)
    for rows in alike.values():
        connection.execute(sa.update(t.device).where(t.device.c.id == sa.bindparam("row")), rows)


def _insert_events(
    connection: sa.Connection, batch: Sequence[Received], device_ids: Mapping[tuple[str, str], int]
) -> None:
    rows = [
        {
            "device_id": device_ids[received.topic.tenant, received.topic.device],
            "digest": hashlib.sha256(received.payload).digest()[:16],
            "kind": storable(received.message.kind),
            "time_s": received.message.time,
            "detail": storable(received.message.detail),
        }
        for received in batch
        if isinstance(received.message, Event)
    ]
    insert_new(connection, t.event, rows)


def _insert_reports(
    connection: sa.Connection,
    batch: Sequence[Received],
    device_ids: Mapping[tuple[str, str], int],
    *,
    now_s: int,
    period_s: int,
) -> tuple[list[Rejected], list[AckTo]]:
    """Store what is new; gives reports of copied states, which are not stored, and the acks."""
    reports: dict[tuple[int, bytes], list[tuple[Received, Report]]] = {}
    for received in batch:
        if isinstance(received.message, Report):
            key = (device_ids[received.topic.tenant, received.topic.device], received.message.epoch)
            reports.setdefault(key, []).append((received, received.message))
    if not reports:
        return [], []
    epochs = _lock_epochs(connection, sorted(reports))
    judged = judge(connection, reports, epochs)
    gained = _insert_windows(connection, judged.kept, epochs, now_s=now_s, period_s=period_s)
    changes, acks = [], []
    for key, items in judged.kept.items():
        row = epochs[key]
        ranges = [one for _, report in items for one in report.lost]
        lost = add_lost(connection, row.id, ranges, above=row.contiguous_upto)
        contiguous_upto, above = _contiguous(connection, row, gained.get(row.id, []), any_lost=row.lost + lost > 0)
        changes.append(
            {
                "row": row.id,
                "produced": max([row.produced, *(report.produced for _, report in items)]),
                "spool_from": max([row.spool_from, *(report.spool_from for _, report in items)]),
                "stored": row.stored + sum(merged for _, merged in gained.get(row.id, [])),
                "contiguous_upto": contiguous_upto,
                "ledger_entries": judged.heads[key].entries,
                "ledger_hash": judged.heads[key].hash,
                "lost": row.lost + lost,
            }
        )
        head = judged.heads[key] if judged.heads[key].entries else NO_HEAD
        ack = Ack(epoch=key[1], contiguous_upto=contiguous_upto, holes=above[:HOLES_MAX], ledger_head=head)
        topic = reports[key][0][0].topic
        acks.append(AckTo(topic=Topic(tenant=topic.tenant, device=topic.device, channel="ack"), ack=ack))
    connection.execute(sa.update(t.epoch).where(t.epoch.c.id == sa.bindparam("row")), changes)
    return _tell_of_copies(connection, judged, now_s), acks


def _tell_of_copies(connection: sa.Connection, judged: Judged, now_s: int) -> list[Rejected]:
    rows = [event_row(one, judged.heads[one.key], now_s) for one in judged.refused if one.is_copy]
    insert_new(connection, t.event, rows)
    return [
        Rejected(topic=str(one.received.topic), payload=one.received.payload, reason=one.reason)
        for one in judged.refused
    ]


def _lock_epochs(connection: sa.Connection, keys: Sequence[tuple[int, bytes]]) -> dict[tuple[int, bytes], sa.Row[Any]]:
    """Rows of the epochs, locked in the order of their ids; new ones are made. The devices' locks are held already."""
    known = _known_epochs(connection, keys)
    missing = [key for key in keys if key not in known]
    if not missing:
        return known
    new = {"produced": 0, "spool_from": 1, "stored": 0, "contiguous_upto": 0}
    insert_new(connection, t.epoch, [{"device_id": d, "epoch": e} | new for d, e in missing])
    return known | _known_epochs(connection, missing)


def _known_epochs(connection: sa.Connection, keys: Sequence[tuple[int, bytes]]) -> dict[tuple[int, bytes], sa.Row[Any]]:
    query = sa.select(t.epoch).where(sa.tuple_(t.epoch.c.device_id, t.epoch.c.epoch).in_(keys))
    locked = connection.execute(query.order_by(t.epoch.c.id).with_for_update())
    return {(row.device_id, row.epoch): row for row in locked}


def _insert_windows(
    connection: sa.Connection,
    reports: Mapping[tuple[int, bytes], Sequence[tuple[Received, Report]]],
    epochs: Mapping[tuple[int, bytes], sa.Row[Any]],
    *,
    now_s: int,
    period_s: int,
) -> dict[int, list[tuple[int, int]]]:
    """Insert what is not there yet and roll up exactly that; gives what each epoch row gained: seq and windows merged.

    The epochs are locked, so nobody else stores windows of theirs: what is there can be asked before it is inserted.
    """
    known = slots_of_schemas(
        connection, {w.schema_id for items in reports.values() for _, report in items for w in report.windows}
    )
    there = _stored_above(connection, reports, epochs)
    rows: list[tuple[Any, ...]] = []
    rollup = RollUp()
    gained: dict[int, list[tuple[int, int]]] = {}
    repeated = 0
    for (device_id, epoch), items in reports.items():
        row = epochs[device_id, epoch]
        upto, seen = row.contiguous_upto, there.get(row.id, set())
        gain = gained.setdefault(row.id, [])
        for received, report in items:
            for window, counts in zip(report.windows, received.counts, strict=True):
                seq = window.seq
                if seq <= upto or seq in seen:
                    repeated += 1
                    continue
                seen.add(seq)
                gain.append((seq, window.merged))
                scale = window.noise_scale.as_integer_ratio()
                is_known = window.schema_id in known
                state = t.ROLLED_UP if is_known else t.WAITING
                rows.append(_window_row(row.id, device_id, window, scale, (now_s, state)))
                if is_known:
                    start_s = window.start - window.start % period_s
                    key = RollUpKey(device_id, start_s, window.model_id, window.schema_id, *scale)
                    rollup.add(key, counts, merged=window.merged)
    insert_many(connection, WINDOW_COLUMNS, rows)
    rollup.write(connection)
    count_up(connection, t.counter, "windows_repeated", repeated)
    return gained


def _stored_above(
    connection: sa.Connection,
    reports: Mapping[tuple[int, bytes], Sequence[tuple[Received, Report]]],
    epochs: Mapping[tuple[int, bytes], sa.Row[Any]],
) -> dict[int, set[int]]:
    """Seqs of the batch that are stored above a gap, by epoch row. All seqs up to contiguous_upto are stored or lost."""
    found: dict[int, set[int]] = {}
    for key, items in reports.items():
        row = epochs[key]
        if row.stored + row.lost > row.contiguous_upto:
            offered = sorted({w.seq for _, report in items for w in report.windows if w.seq > row.contiguous_upto})
            query = sa.select(t.window.c.seq).where(t.window.c.epoch_id == row.id, t.window.c.seq.in_(offered))
            found[row.id] = set(connection.execute(query).scalars())
    return found


def _window_row(
    epoch_id: int, device_id: int, window: Window, scale: tuple[int, int], here: tuple[int, int]
) -> tuple[Any, ...]:
    """Values of WINDOW_COLUMNS; `here`: when it came in, and its state."""
    return (
        *(epoch_id, window.seq, device_id, window.model_id, window.schema_id, window.start, window.end),
        *(window.packed_counts, *scale, window.merged, window.epsilon_micro, *here),
    )


def _contiguous(
    connection: sa.Connection, row: sa.Row[Any], gained: Sequence[tuple[int, int]], *, any_lost: bool
) -> tuple[int, tuple[int, ...]]:
    """Highest seq up to which all windows of an epoch are stored or lost, and the stored ones above it.

    A window of `merged` ones covers seq - merged + 1 up to seq.
    """
    upto: int = row.contiguous_upto
    if row.stored == upto and not any_lost:  # until this batch none were stored above
        windows: Sequence[Any] = sorted(gained)[:SEQS_PER_ACK_MAX]
    else:
        tables = (t.window, t.lost_window) if any_lost else (t.window,)
        windows = sorted(one for table in tables for one in _above(connection, table, row))
    run = 0
    while run < len(windows) and windows[run][0] - windows[run][1] == upto:
        upto = windows[run][0]
        run += 1
    return upto, tuple(seq for seq, _ in windows[run:])


def _above(connection: sa.Connection, table: sa.Table, row: sa.Row[Any]) -> list[tuple[int, int]]:
    """Seq and merged of the lowest windows of an epoch above its contiguous_upto."""
    query = sa.select(table.c.seq, table.c.merged)
    query = query.where(table.c.epoch_id == row.id, table.c.seq > row.contiguous_upto)
    return [(seq, merged) for seq, merged in connection.execute(query.order_by(table.c.seq).limit(SEQS_PER_ACK_MAX))]
