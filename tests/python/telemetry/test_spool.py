# SPDX-License-Identifier: Apache-2.0
"""The spool keeps what it took: acks, damage, full disks, and kill -9 at every statement."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import sys
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edgeml.errors import BudgetSpentError, DeviceError
from edgeml.privacy import PrivacyBudget, release
from edgeml.privacy.ledger import DAY_S, read_days
from edgeml.telemetry import codec
from edgeml.telemetry.coarsening import coarsen
from edgeml.telemetry.messages import MESSAGE_BYTES_MAX, Ack
from edgeml.telemetry.spool import EVENTS_MAX, Spool, WindowSpan
from edgeml.telemetry.spool_tables import insert_window
from edgeml.telemetry.state_directory import SPOOL_FILE
from support.counting import raw_window, small_schema

if TYPE_CHECKING:
    from pathlib import Path

NOON = 20_000 * DAY_S + DAY_S // 2
BUDGET = PrivacyBudget(epsilon="100", per_release="1")
MODEL = b"modelid8"


def open_spool(directory: Path, budget: PrivacyBudget = BUDGET, now: float = NOON, bytes_max: int = 8 << 20) -> Spool:
    return Spool(directory, budget=budget, now=now, bytes_max=bytes_max)


def store(spool: Spool, now: float = NOON) -> int:
    reservation = spool.ledger.reserve(now)
    released = release(raw_window(), reservation=reservation, sensitivity=2)
    span = WindowSpan(model_id=MODEL, schema_id=small_schema().id, start=now - 300, end=now)
    return spool.store(released, reservation=reservation, span=span)


def test_reports_are_the_same_bytes_until_acknowledged(tmp_path: Path) -> None:
    with closing(open_spool(tmp_path)) as spool:
        assert spool.report(0, NOON) is None
        assert [store(spool) for _ in range(3)] == [1, 2, 3]
        report = spool.report(0, NOON)
        epoch = spool.epoch
    with closing(open_spool(tmp_path)) as spool:
        assert spool.epoch == epoch
        assert report is not None
        assert spool.report(0, NOON) == report
        assert codec.decode("tel", codec.encode(report)) == report
        assert [window.seq for window in report.windows] == [1, 2, 3]
        assert (report.produced, report.spool_from, report.epsilon_spent_micro) == (3, 1, 3_000_000)
        assert spool.acknowledge(Ack(epoch=epoch, contiguous_upto=2, holes=())) == 2
        assert (spool.produced(), spool.spool_from()) == (3, 3)
        assert spool.acknowledge(Ack(epoch=epoch, contiguous_upto=3)) == 1
        assert (spool.produced(), spool.spool_from()) == (3, 4)
        assert store(spool) == 4  # a seq is never given twice


def test_only_contiguous_upto_of_this_epoch_deletes(tmp_path: Path) -> None:
    with closing(open_spool(tmp_path)) as spool:
        for _ in range(4):
            store(spool)
        assert spool.acknowledge(Ack(epoch=b"another!", contiguous_upto=4)) == 0
        assert spool.acknowledge(Ack(epoch=spool.epoch, contiguous_upto=0, holes=(2, 3, 4))) == 0
        assert spool.acknowledge(Ack(epoch=spool.epoch, contiguous_upto=5)) == 0
        assert spool.spool_from() == 1


def test_reports_page_through_a_long_spool(tmp_path: Path) -> None:
    with closing(open_spool(tmp_path)) as spool:
        for _ in range(70):
            store(spool)
        first = spool.report(0, NOON)
        assert first is not None
        assert len(first.windows) == 64
        second = spool.report(first.windows[-1].seq, NOON)
        assert second is not None
        assert [window.seq for window in second.windows] == list(range(65, 71))
        assert second.spool_from == 1


def test_a_report_of_large_windows_stays_below_the_limit(tmp_path: Path) -> None:
    with closing(open_spool(tmp_path)) as spool:
        store(spool)
        with spool.file.transaction() as connection:
            first = spool.windows(0)[0]
            connection.execute("DELETE FROM window")
            for seq in range(1, 5):
                insert_window(connection, replace(first, seq=seq, packed_counts=b"\x01" * 100_000), 0)
            connection.execute("UPDATE spool SET produced = 4")
        report = spool.report(0, NOON)
        assert report is not None
        assert [window.seq for window in report.windows] == [1]
        assert len(codec.encode(report)) < MESSAGE_BYTES_MAX


def test_one_process_holds_a_directory(tmp_path: Path) -> None:
    with closing(open_spool(tmp_path)), pytest.raises(DeviceError, match="in use"):
        open_spool(tmp_path)
    open_spool(tmp_path).close()


def test_a_directory_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DeviceError):
        open_spool(tmp_path / "file")


@pytest.mark.parametrize("damage", ["header", "middle", "truncated", "empty", "text"])
def test_a_damaged_file_is_kept_aside_and_burns_the_day(tmp_path: Path, damage: str) -> None:
    with closing(open_spool(tmp_path)) as spool:
        for _ in range(50):
            store(spool)
        epoch = spool.epoch
    path = tmp_path / SPOOL_FILE
    data = bytearray(path.read_bytes())
    data = {
        "header": b"\0" * 100 + data[100:],
        "middle": data[:4096] + b"\xff" * (len(data) - 4096),
        "truncated": data[: len(data) // 2],
        "empty": b"",
        "text": b"not a database, " * 1000,
    }[damage]
    path.write_bytes(data)
    with closing(open_spool(tmp_path)) as spool:
        assert spool.epoch != epoch
        assert [event.kind for _, event in spool.events()] == ["spool_recovered"]
        assert spool.produced() == 0
        with pytest.raises(BudgetSpentError):
            store(spool)
        assert store(spool, NOON + DAY_S) == 1
    aside = [p.name for p in tmp_path.iterdir() if "damaged" in p.name and not p.name.endswith(("-wal", "-shm"))]
    assert len(aside) == (0 if damage == "empty" else 1)


def test_a_full_spool_says_so_until_acknowledged(tmp_path: Path) -> None:
    with closing(open_spool(tmp_path, bytes_max=64 << 10)) as spool:
        stored = 0
        with spool.file.transaction() as connection:
            connection.execute("CREATE TABLE ballast (data BLOB) STRICT")
            connection.execute("INSERT INTO ballast VALUES (zeroblob(40000))")
        while not spool.is_full():
            store(spool, NOON + stored // 100 * DAY_S)
            stored += 1
        with spool.file.transaction() as connection:
            connection.execute("DELETE FROM ballast")
        assert not spool.is_full()


def test_a_full_disk_stores_nothing_and_keeps_the_charge(tmp_path: Path) -> None:
    with closing(open_spool(tmp_path)) as spool:
        store(spool)
        reservations = [spool.ledger.reserve(NOON) for _ in range(60)]
        spool.file.read("PRAGMA max_page_count=1")  # SQLite's way to have no room: no page more than there are
        span = WindowSpan(model_id=MODEL, schema_id=small_schema().id, start=NOON, end=NOON)

        def store_all() -> None:
            for reservation in reservations:
                spool.store(
                    release(raw_window(), reservation=reservation, sensitivity=2), reservation=reservation, span=span
                )

        with pytest.raises(DeviceError, match="full"):
            store_all()
        stored = spool.produced()
        assert stored < 61
        assert [window.seq for window in spool.windows(0)] == list(range(1, stored + 1))
        spool.file.read("PRAGMA max_page_count=1000000")
        assert spool.ledger.spent_micro(NOON) == 61_000_000
        assert store(spool) == stored + 1


@pytest.mark.parametrize(
    "change",
    [
        "packed_counts = x'80'",
        "noise_denominator = 0",
        "seq = 0",
        "seq = 77",
        "model_id = x''",
        "epsilon_micro = -1",
        "merged = 2",
    ],
)
def test_a_damaged_window_is_lost_in_the_books_and_holds_up_nothing(tmp_path: Path, change: str) -> None:
    with closing(open_spool(tmp_path)) as spool:
        for _ in range(3):
            store(spool)
        with spool.file.transaction() as connection:
            connection.execute(f"UPDATE window SET {change} WHERE seq = 2")  # noqa: S608
        report = spool.report(-1, NOON)
        assert report is not None
        assert [window.seq for window in report.windows] == [1, 3]
        assert spool.report(-1, NOON) == replace(report, lost=((2, 2),))
        assert [event.kind for _, event in spool.events()] == ["window_damaged"]
        assert (spool.produced(), spool.spool_from()) == (3, 1)
    with closing(open_spool(tmp_path)) as spool:
        assert spool.lost() == ((2, 2),)
        assert spool.acknowledge(Ack(epoch=spool.epoch, contiguous_upto=1, holes=(3,))) == 1
        assert (spool.spool_from(), spool.lost()) == (2, ((2, 2),))
        assert spool.acknowledge(Ack(epoch=spool.epoch, contiguous_upto=3)) == 1
        assert (spool.spool_from(), spool.lost(), spool.report(0, NOON)) == (4, (), None)


def test_rows_that_are_gone_are_found_at_the_start(tmp_path: Path) -> None:
    with closing(open_spool(tmp_path)) as spool:
        for _ in range(9):
            store(spool)
        spool.acknowledge(Ack(epoch=spool.epoch, contiguous_upto=1))
        with spool.file.transaction() as connection:
            connection.execute("DELETE FROM window WHERE seq IN (2, 5, 6, 9)")
    with closing(open_spool(tmp_path)) as spool:
        report = spool.report(0, NOON)
        assert report is not None
        assert [window.seq for window in report.windows] == [3, 4, 7, 8]
        assert report.lost == ((2, 2), (5, 6), (9, 9))
        assert report.upto == 9
        assert [event.kind for _, event in spool.events()] == ["window_damaged"]
        assert spool.report(8, NOON) is not None, "a loss alone is told too"
    with closing(open_spool(tmp_path)) as spool:
        assert len(spool.events()) == 1, "told once"


def test_a_copy_of_the_state_is_found_out_and_begins_anew(tmp_path: Path) -> None:
    """An image of the card is restored, and the fleet knows entries that the image has not."""
    with closing(open_spool(tmp_path / "card")) as spool:
        for _ in range(3):
            store(spool)
    shutil.copytree(tmp_path / "card", tmp_path / "image")
    with closing(open_spool(tmp_path / "card")) as spool:
        store(spool)
        known, epoch = spool.ledger.head(), spool.epoch
        assert spool.ledger.has(known)
    with closing(open_spool(tmp_path / "image")) as spool:
        assert not spool.ledger.has(known), "it ends before"
        store(spool)
        assert not spool.ledger.has(known), "its fourth entry is another"
        before = spool.ledger.head()
        spool.begin_anew(NOON, known)
        assert spool.epoch != epoch
        assert (spool.produced(), spool.report(0, NOON)) == (0, None)
        assert not spool.ledger.can_reserve(NOON), "the budget of the day counts as spent"
        (event,) = (event for _, event in spool.events())
        assert event.kind == "ledger_forked"
        assert event.epoch == spool.epoch
        assert "4 windows that only the copy held" in event.detail
        assert spool.ledger.is_sound()
        assert spool.ledger.head() != before
        new_epoch = spool.epoch
    with closing(open_spool(tmp_path / "image")) as spool:
        assert spool.epoch == new_epoch
        assert not spool.ledger.can_reserve(NOON - 3 * DAY_S), "a clock that goes back does not help"
        assert store(spool, NOON + DAY_S) == 1


def test_a_power_cut_after_the_damaged_file_is_moved_refunds_nothing(tmp_path: Path) -> None:
    with closing(open_spool(tmp_path)) as spool:
        store(spool)
    path = tmp_path / SPOOL_FILE
    path.rename(tmp_path / f"{SPOOL_FILE}.damaged-1")
    with closing(open_spool(tmp_path)) as spool:
        assert not spool.ledger.can_reserve(NOON)
    with closing(open_spool(tmp_path)) as spool:
        assert len(spool.events()) == 1


def test_events_wait_and_the_oldest_go_first(tmp_path: Path) -> None:
    with closing(open_spool(tmp_path)) as spool:
        for number in range(EVENTS_MAX + 5):
            spool.add_event("budget_spent", NOON, str(number))
        events = spool.events()
        assert [event.detail for _, event in events] == [str(n) for n in range(5, EVENTS_MAX + 5)]
        spool.remove_event(events[0][0])
        assert len(spool.events()) == EVENTS_MAX - 1


def run_until_killed(directory: Path, statements: int, log_fd: int, now: float) -> None:
    """Store and acknowledge windows, note each that was stored, and die by SIGKILL at the given statement."""
    counter = 0

    def count(_: str) -> None:
        nonlocal counter
        counter += 1
        if counter == statements:
            os.kill(os.getpid(), signal.SIGKILL)

    spool = open_spool(directory, now=now)
    spool.file.on_statement(count)
    for step in range(6):
        seq = store(spool, now)
        window = spool.windows(seq - 1)[0]
        os.write(log_fd, (json.dumps([spool.epoch.hex(), seq, window.packed_counts.hex()]) + "\n").encode())
        if step % 3 == 2:
            spool.acknowledge(Ack(epoch=spool.epoch, contiguous_upto=seq - 1))
            os.write(log_fd, (json.dumps([spool.epoch.hex(), seq - 1, "acked"]) + "\n").encode())


def test_kill_9_at_every_statement(tmp_path: Path) -> None:
    """0 lost, 0 double, 0 refunds: whatever `store` returned for is there, with its bytes, until it is acknowledged."""
    log = tmp_path / "log"
    state = tmp_path / "state"
    kills = 0
    fleet: dict[tuple[str, int], str] = {}  # what a fleet that sees every report would hold
    for statements in (*range(1, 40), *range(40, 100, 4)):
        now = NOON + statements * DAY_S
        with log.open("ab") as stream:
            child = os.fork()
            if child == 0:
                try:
                    run_until_killed(state, statements, stream.fileno(), now)
                finally:
                    os._exit(0)
            _, status = os.waitpid(child, 0)
        kills += os.WIFSIGNALED(status)
        noted = [json.loads(line) for line in log.read_text().splitlines()]
        acked_upto = max((seq for _, seq, what in noted if what == "acked"), default=0)
        with closing(open_spool(state, now=now)) as spool:
            held = {window.seq: window.packed_counts.hex() for window in spool.windows(0)}
            for seq, packed in held.items():  # sent again: the same bytes as ever, never drawn again
                assert fleet.setdefault((spool.epoch.hex(), seq), packed) == packed
            for epoch, seq, packed in noted:
                assert epoch == spool.epoch.hex()
                if packed == "acked":
                    continue
                assert fleet.setdefault((epoch, seq), packed) == packed
                assert seq in held or seq <= max(acked_upto, min(held, default=1) - 1)
            assert sorted(held) == list(range(spool.spool_from(), spool.produced() + 1))
            entries = spool.file.read("SELECT count(*), count(seq), max(seq) FROM ledger")[0]
            assert entries[0] >= spool.produced()  # every window was paid for
            assert entries[1] == spool.produced()  # by its own entry
            spent = sum(day.spent_micro for day in read_days(spool.file.path))
            assert spent == entries[0] * 1_000_000
            spool.acknowledge(Ack(epoch=spool.epoch, contiguous_upto=max(spool.produced() - 2, 0)))
    assert kills > 40, "the kills must hit; otherwise this test sees nothing"
    assert sys.platform == "linux"


def test_the_trace_sees_the_statements_of_a_store(tmp_path: Path) -> None:
    """What the kill test counts: one store has a reservation and a transaction of its own."""
    with closing(open_spool(tmp_path)) as spool:
        seen: list[str] = []
        spool.file.on_statement(seen.append)
        store(spool)
        assert sum(sql.startswith("COMMIT") for sql in seen) == 2
        assert len(seen) >= 8
    assert sqlite3.sqlite_version_info >= (3, 37)  # STRICT tables


@pytest.mark.parametrize("sent", [0, 40])
def test_a_full_spool_is_coarsened_on_disk_and_keeps_every_count(tmp_path: Path, sent: int) -> None:
    """30 days would take minutes; the quota is small instead. What was sent stays as it was sent."""
    budget = PrivacyBudget(epsilon="1000", per_release="1")
    total = 0
    with closing(open_spool(tmp_path, budget, bytes_max=96 << 10)) as spool:
        for number in range(600):
            now = NOON + 300 * number
            reservation = spool.ledger.reserve(now)
            released = release(raw_window(), reservation=reservation, sensitivity=2)
            total = total + np.array(released.counts)
            span = WindowSpan(model_id=MODEL, schema_id=small_schema().id, start=now - 300, end=now)
            assert spool.store(released, reservation=reservation, span=span) == number + 1
            if number + 1 == sent:
                report = spool.report(0, now)
        assert not spool.is_full()
        assert "coarsened" in {event.kind for _, event in spool.events()}
    with closing(open_spool(tmp_path, budget, bytes_max=96 << 10)) as spool:
        windows, after = [], 0
        while page := spool.windows(after):
            windows += page
            after = page[-1].seq
        if sent:
            assert report is not None
            assert tuple(windows[:sent]) == report.windows
    assert len(windows) < 600
    assert sum(window.merged for window in windows) == 600
    assert [window.first_seq for window in windows] == [1, *(window.seq + 1 for window in windows[:-1])]
    assert windows[-1].seq == 600
    assert np.array_equal(sum(window.counts for window in windows), total)


def test_windows_of_different_schemas_are_never_added(tmp_path: Path) -> None:
    with closing(open_spool(tmp_path)) as spool:
        for _ in range(4):
            store(spool)
        with spool.file.transaction() as connection:
            first = spool.windows(0)[0]
            connection.execute("DELETE FROM window")
            for seq in range(1, 5):
                insert_window(connection, replace(first, seq=seq, schema_id=b"schema-%d" % (seq % 2)), 0)
            assert coarsen(connection, free_bytes=1000, sent_upto=0) is None


def test_a_ledger_that_was_changed_is_kept_aside(tmp_path: Path) -> None:
    with closing(open_spool(tmp_path)) as spool:
        store(spool)
        epoch = spool.epoch
        with spool.file.transaction() as connection:
            connection.execute("UPDATE ledger SET epsilon_micro = 1")
    with closing(open_spool(tmp_path)) as spool:
        assert spool.epoch != epoch
        assert not spool.ledger.can_reserve(NOON)


def test_a_window_that_tomorrow_pays_for_waits_for_tomorrow(tmp_path: Path) -> None:
    with closing(open_spool(tmp_path, PrivacyBudget(epsilon="1", per_release="1"))) as spool:
        store(spool)
        reservation = spool.ledger.reserve(NOON, ahead=True)
        released = release(raw_window(), reservation=reservation, sensitivity=2)
        span = WindowSpan(model_id=MODEL, schema_id=small_schema().id, start=NOON, end=NOON)
        spool.store(released, reservation=reservation, span=span)
        today, tomorrow = spool.report(0, NOON), spool.report(0, NOON + DAY_S)
        assert today is not None
        assert tomorrow is not None
        assert [window.seq for window in today.windows] == [1]
        assert [window.seq for window in tomorrow.windows] == [1, 2]
