# SPDX-License-Identifier: Apache-2.0
"""Whatever is changed in the audit log is found."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from edgeml.errors import UsageError
from edgeml.fleet.audit import GENESIS, Entry, Head, append, entries, stored_head, verify
from edgeml.fleet.store.engine import open_store, reading, writing
from edgeml.fleet.store.release_tables import audit

TIME_S = 1_700_000_000


def _store(path: Path, count: int = 5) -> sa.Engine:
    engine = open_store(f"sqlite:///{path / 'fleet.db'}")
    for number in range(count):
        with writing(engine) as connection:
            append(
                connection,
                "model",
                f"m{number}",
                {"n": number, "of": "x"},
                actor="operator:ada",
                time_s=TIME_S + number,
            )
    return engine


def _log(engine: sa.Engine) -> tuple[list[Entry], Head]:
    with reading(engine) as connection:
        return entries(connection), stored_head(connection)


def test_an_untouched_log_verifies(tmp_path: Path) -> None:
    log, head = _log(_store(tmp_path))
    assert [entry.number for entry in log] == [1, 2, 3, 4, 5]
    assert head == Head(number=5, hash=log[-1].hash)
    assert verify(log, head) is None
    assert verify(log, head, Head(number=3, hash=log[2].hash), Head()) is None
    assert verify([], Head()) is None


@pytest.mark.parametrize("field", ["number", "time_s", "actor", "kind", "subject", "detail", "hash"])
@pytest.mark.parametrize("place", range(5))
def test_every_byte_of_every_field_counts(tmp_path: Path, field: str, place: int) -> None:
    log, head = _log(_store(tmp_path))
    value = getattr(log[place], field)
    if isinstance(value, int):
        changes = [value + 1, value - 1, -value]
    else:
        raw = value.encode() if isinstance(value, str) else value
        flipped = [raw[:i] + bytes([raw[i] ^ 1]) + raw[i + 1 :] for i in range(len(raw))]
        shorter = [raw[:-1], raw + b" "]
        changes = [one.decode() if isinstance(value, str) else one for one in (*flipped, *shorter)]
    for changed in changes:
        forged = [*log[:place], replace(log[place], **{field: changed}), *log[place + 1 :]]
        assert verify(forged, head) is not None


def test_text_that_moves_between_fields_is_found(tmp_path: Path) -> None:
    log, head = _log(_store(tmp_path))
    forged = replace(log[1], actor=log[1].actor + log[1].kind[:1], kind=log[1].kind[1:])
    assert verify([log[0], forged, *log[2:]], head) is not None


def test_removed_moved_and_repeated_entries_are_found(tmp_path: Path) -> None:
    log, head = _log(_store(tmp_path))
    for place in range(5):
        assert verify(log[:place] + log[place + 1 :], head) is not None
        assert verify([*log[: place + 1], log[place], *log[place + 1 :]], head) is not None
    for place in range(4):
        swapped = [*log[:place], log[place + 1], log[place], *log[place + 2 :]]
        assert verify(swapped, head) is not None


def test_a_cut_tail_is_found_by_a_head_kept_elsewhere(tmp_path: Path) -> None:
    log, head = _log(_store(tmp_path))
    for length in range(5):
        cut = log[:length]
        rewritten = Head(
            number=length, hash=cut[-1].hash if cut else GENESIS
        )  # the attacker writes the store's head too
        assert verify(cut, rewritten) is None
        assert verify(cut, rewritten, head) == f"entries {length + 1} to 5 are missing at the end"
        assert verify(cut, head) is not None


def test_a_log_that_was_written_anew_is_found_by_a_noted_head(tmp_path: Path) -> None:
    noted = Head(number=3, hash=_log(_store(tmp_path))[0][2].hash)
    (tmp_path / "other").mkdir()
    engine = open_store(f"sqlite:///{tmp_path / 'other' / 'fleet.db'}")
    for _ in range(5):
        with writing(engine) as connection:
            append(connection, "model", "m", {}, actor="operator:eve", time_s=TIME_S)
    log, head = _log(engine)
    assert verify(log, head) is None
    assert verify(log, head, noted) == "entry 3 is not the one whose hash was noted: the log was written anew"


@pytest.mark.parametrize("statement", ["UPDATE audit SET actor = 'eve' WHERE number = 2", "DELETE FROM audit"])
def test_the_database_refuses_to_change_the_log(tmp_path: Path, statement: str) -> None:
    engine = _store(tmp_path)
    with pytest.raises(sa.exc.DatabaseError, match="append-only"), writing(engine) as connection:
        connection.execute(sa.text(statement))
    assert len(_log(engine)[0]) == 5


def _append_and_fail(connection: sa.Connection) -> None:
    append(connection, "operator", "x", {}, actor="operator:ada", time_s=TIME_S)
    connection.execute(sa.text("SELECT * FROM nowhere"))


def test_an_entry_is_there_only_if_its_transaction_is(tmp_path: Path) -> None:
    engine = _store(tmp_path)
    with pytest.raises(sa.exc.OperationalError), writing(engine) as connection:
        _append_and_fail(connection)
    log, head = _log(engine)
    assert len(log) == 5
    assert verify(log, head) is None


def test_the_newest_entries(tmp_path: Path) -> None:
    engine = _store(tmp_path)
    with reading(engine) as connection:
        assert [entry.number for entry in entries(connection, newest=2)] == [4, 5]
        assert connection.execute(sa.select(sa.func.count()).select_from(audit)).scalar_one() == 5


@pytest.mark.parametrize("text", ["", "3", "3:", "x:00", f"-1:{'00' * 32}", "3:00", f"3:{'0g' * 32}"])
def test_a_head_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="NUMBER:HEX"):
        Head.from_text(text)


def test_a_head_reads_back() -> None:
    head = Head(number=7, hash=bytes(range(32)))
    assert Head.from_text(str(head)) == head
