# SPDX-License-Identifier: Apache-2.0
"""One transaction per batch, in which repetition, order and the number of collectors change nothing."""

from __future__ import annotations

import random
import threading
from dataclasses import replace

import numpy as np
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgeml.fleet.received import Received, Rejected
from edgeml.fleet.store import tables as t
from edgeml.fleet.store.engine import open_store, reading, writing
from edgeml.fleet.store.intake import AckTo, take_in
from edgeml.fleet.store.quarantine import QUARANTINE_ROWS_MAX
from edgeml.fleet.store.rollup import counts_of, roll_up_waiting
from edgeml.telemetry.messages import Birth, Event, LastWill
from support.reports import HEAD, MODEL_ID, NOON_S, normal_counts, normal_schema, received, report, window
from support.snapshot import snapshot
from support.stores import NewStore

SCHEMA = normal_schema(features=2, bins=4)
EPOCHS = (b"epoch--1", b"epoch--2")


@pytest.fixture
def store(new_store: NewStore) -> sa.Engine:
    return open_with_schema(new_store())


def open_with_schema(url: str) -> sa.Engine:
    engine = open_store(url)
    push_schema(engine)
    return engine


def push_schema(engine: sa.Engine) -> None:
    with writing(engine) as connection:
        row = {"schema_id": SCHEMA.id, "slots": SCHEMA.slot_count, "document": SCHEMA.to_bytes()}
        connection.execute(sa.insert(t.telemetry_schema), row)


def feed(engine: sa.Engine, *messages: Received | Rejected, now_s: int = NOON_S) -> list[AckTo]:
    with writing(engine) as connection:
        return take_in(connection, messages, now_s=now_s, period_s=3600)


def fleet_messages() -> list[Received]:
    """Reports of two devices, one with a second epoch; they overlap as after a lost ack."""
    rng = np.random.default_rng(3)
    messages = []
    for device, epoch in (("a", EPOCHS[0]), ("b", EPOCHS[0]), ("b", EPOCHS[1])):
        windows = [window(seq, normal_counts(SCHEMA, rng), SCHEMA.id) for seq in range(1, 21)]
        for first in range(0, 20, 3):
            spool_from = max(1, first - 1)
            part = windows[spool_from - 1 : first + 3]
            messages.append(received(device, report(epoch, part, spool_from=spool_from)))
    return messages


MESSAGES = fleet_messages()


@pytest.fixture(scope="module")
def oracle(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[tuple[object, ...]]]:
    """What one collector with an SQLite store makes of all messages, one at a time, in order."""
    engine = open_with_schema(f"sqlite:///{tmp_path_factory.mktemp('oracle') / 'fleet.db'}")
    for message in MESSAGES:
        feed(engine, message)
    return snapshot(engine)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_order_repetition_and_batches_change_nothing(
    data: st.DataObject, oracle: dict[str, list[tuple[object, ...]]], new_store: NewStore
) -> None:
    again = data.draw(st.lists(st.integers(0, len(MESSAGES) - 1), max_size=20))
    order = data.draw(st.permutations([*range(len(MESSAGES)), *again]))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(order)), max_size=5)))
    engine = open_with_schema(new_store())
    for begin, end in zip([0, *cuts], [*cuts, len(order)], strict=True):
        feed(engine, *(MESSAGES[index] for index in order[begin:end]))
    assert snapshot(engine) == oracle
    engine.dispose()


def test_two_collectors_at_once_on_one_store(new_store: NewStore, oracle: dict[str, list[tuple[object, ...]]]) -> None:
    url = new_store()
    open_with_schema(url).dispose()
    failures: list[BaseException] = []

    def collect(seed: int) -> None:
        try:
            engine = open_store(url)
            order = list(MESSAGES)
            random.Random(seed).shuffle(order)
            for message in order:
                feed(engine, message)
            engine.dispose()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=collect, args=(seed,)) for seed in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert snapshot(open_store(url)) == oracle


def test_a_batch_is_all_or_nothing(store: sa.Engine) -> None:
    before = snapshot(store)

    def stop_before_the_commit() -> None:
        with writing(store) as connection:
            take_in(connection, MESSAGES, now_s=NOON_S, period_s=3600)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        stop_before_the_commit()
    assert snapshot(store) == before


def test_ack_tells_gaps(store: sa.Engine) -> None:
    def send(*seqs: int) -> tuple[int, tuple[int, ...]]:
        counts = np.zeros(SCHEMA.slot_count, dtype=np.int64)
        message = report(EPOCHS[0], [window(seq, counts, SCHEMA.id) for seq in seqs])
        (to,) = feed(store, received("a", message))
        assert str(to.topic) == "edgeml/v1/acme/a/down/ack"
        assert to.ack.epoch == EPOCHS[0]
        return to.ack.contiguous_upto, to.ack.holes

    assert send(1, 2) == (2, ())
    assert send(4, 5, 7) == (2, (4, 5, 7))
    assert send(2, 4) == (2, (4, 5, 7))
    assert send(3) == (5, (7,))
    assert send(6) == (7, ())


def test_roll_up_is_the_sum_of_the_windows(store: sa.Engine) -> None:
    rng = np.random.default_rng(5)
    vectors = [normal_counts(SCHEMA, rng) for _ in range(30)]
    windows = [
        window(2 * i + 2, vector, SCHEMA.id, start=NOON_S + 300 * i, merged=1 + i % 2)
        for i, vector in enumerate(vectors)
    ]
    feed(store, *(received("a", report(EPOCHS[0], windows[i : i + 7])) for i in range(0, 30, 4)))
    with reading(store) as connection:
        rows = connection.execute(sa.select(t.rollup).order_by(t.rollup.c.period_start_s)).all()
    assert [row.period_start_s for row in rows] == [NOON_S, NOON_S + 3600, NOON_S + 7200]
    assert [row.windows for row in rows] == [12, 12, 6]
    assert [row.releases for row in rows] == [18, 18, 9]
    for index, row in enumerate(rows):
        assert (counts_of(row.counts) == sum(vectors[12 * index : 12 * index + 12])).all()


def test_windows_of_an_unknown_schema_are_rolled_up_once_it_is_known(new_store: NewStore) -> None:
    known = open_with_schema(new_store())
    later = open_store(new_store())
    for engine in (known, later):
        feed(engine, *MESSAGES)
    assert snapshot(later)["rollups"] == []
    with writing(later) as connection:
        assert roll_up_waiting(connection, period_s=3600) == 0
    push_schema(later)
    with writing(later) as connection:
        assert roll_up_waiting(connection, period_s=3600) == 60
        assert roll_up_waiting(connection, period_s=3600) == 0
    assert snapshot(later) == snapshot(known)


def test_wrong_length_is_quarantined_or_refused(new_store: NewStore) -> None:
    short = received("a", report(EPOCHS[0], [window(1, np.zeros(3, dtype=np.int64), SCHEMA.id)]))
    known = open_with_schema(new_store())
    assert feed(known, short) == []
    with reading(known) as connection:
        assert connection.execute(sa.select(t.window)).all() == []
        (row,) = connection.execute(sa.select(t.quarantine)).all()
        assert row.reason == f"window 1 has 3 slots, its schema has {SCHEMA.slot_count}"
        assert row.payload == short.payload
    later = open_store(new_store())
    assert len(feed(later, short)) == 1
    push_schema(later)
    with writing(later) as connection:
        roll_up_waiting(connection, period_s=3600)
        assert connection.execute(sa.select(t.window.c.state)).scalars().all() == [t.REFUSED]
        assert connection.execute(sa.select(t.rollup)).all() == []


def test_quarantine_is_bounded_and_counted(store: sa.Engine) -> None:
    bad = [Rejected(topic="a\0\ud800", payload=bytes(9000), reason="x" * 9000)] * (QUARANTINE_ROWS_MAX + 5)
    feed(store, *bad)
    feed(store, *bad[:7])
    with reading(store) as connection:
        rows = connection.execute(sa.select(t.quarantine)).all()
        counted = connection.execute(sa.select(t.counter.c.value)).scalar()
    assert len(rows) == QUARANTINE_ROWS_MAX
    assert counted == len(bad) + 7
    assert {(row.bytes, len(row.payload), len(row.reason)) for row in rows} == {(9000, 4096, 500)}


def test_device_state_follows_birth_report_and_last_will(store: sa.Engine) -> None:
    def device() -> sa.Row[tuple[object, ...]]:
        with reading(store) as connection:
            return connection.execute(sa.select(t.device)).one()

    birth = Birth(
        epoch=EPOCHS[0],
        edgeml_version="0.1.0",
        isa="neondot",
        model_id=MODEL_ID,
        schema_id=SCHEMA.id,
        model_name="digits",
        time=NOON_S,
        ledger_head=HEAD,
    )
    born = received("a", birth, channel="birth")
    gone = received("a", LastWill(epoch=EPOCHS[0]), channel="lwt")
    feed(store, born)
    assert (device().online, device().model_name, device().isa) == (True, "digits", "neondot")
    feed(store, gone, now_s=NOON_S + 60)
    assert (device().online, device().last_seen_s) == (False, NOON_S)
    feed(store, replace(born, retained=True), now_s=NOON_S + 70)  # a collector that starts again sees both from memory
    assert (device().online, device().last_seen_s) == (False, NOON_S)
    counts = np.zeros(SCHEMA.slot_count, dtype=np.int64)
    feed(store, received("a", report(EPOCHS[0], [window(1, counts, SCHEMA.id)])), now_s=NOON_S + 80)
    assert (device().online, device().last_seen_s) == (True, NOON_S + 80)
    assert (device().epsilon_spent_micro, device().epsilon_budget_micro) == (1_000_000, 24_000_000)


def test_a_repeated_event_is_one_event(store: sa.Engine) -> None:
    event = Event(epoch=EPOCHS[0], kind="budget_spent", time=NOON_S, detail="until tomorrow")
    other = replace(event, time=NOON_S + 1)
    feed(store, received("a", event, channel="evt"), received("a", event, channel="evt"))
    feed(store, received("a", event, channel="evt"), received("a", other, channel="evt"))
    with reading(store) as connection:
        assert connection.execute(sa.select(t.event.c.time_s)).scalars().all() == [NOON_S, NOON_S + 1]
