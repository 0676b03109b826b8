# SPDX-License-Identifier: Apache-2.0
"""`unaccounted` counts exactly the windows that the device deleted and the store lacks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgeml.fleet.books import Book, books
from edgeml.fleet.store.engine import open_store, reading, writing
from edgeml.fleet.store.intake import take_in
from edgeml.telemetry.messages import LastWill
from support.reports import NOON_S, received, report, window

EPOCHS = (b"epoch--1", b"epoch--2")
COUNTS = np.zeros(3, dtype=np.int64)


def book_of(folder: Path, *messages: object) -> list[Book]:
    engine = open_store(f"sqlite:///{folder / 'fleet.db'}")
    with writing(engine) as connection:
        take_in(connection, messages, now_s=NOON_S, period_s=3600)  # type: ignore[arg-type]
    with reading(engine) as connection:
        return books(connection)


def sent(device: str, epoch: bytes, seqs: list[int], *, produced: int = 0, spool_from: int = 0) -> object:
    windows = [window(seq, COUNTS, b"schema-1") for seq in seqs]
    return received(device, report(epoch, windows, produced=produced, spool_from=spool_from))


def test_closed_books(tmp_path: Path) -> None:
    found = book_of(tmp_path, sent("a", EPOCHS[0], [1, 2, 3]), sent("a", EPOCHS[0], [4], produced=6))
    assert found == [Book(tenant="acme", device="a", produced=6, stored=4, waiting=2, lost=0, unaccounted=0)]


def test_deleted_and_not_stored_is_unaccounted(tmp_path: Path) -> None:
    found = book_of(
        tmp_path,
        sent("a", EPOCHS[0], [1, 2, 5, 9], spool_from=1),
        sent("a", EPOCHS[0], [8], produced=10, spool_from=7),
        sent("a", EPOCHS[1], [1]),
        sent("b", EPOCHS[0], [4]),
        received("c", LastWill(epoch=EPOCHS[0]), channel="lwt"),
    )
    assert found == [
        Book(
            tenant="acme", device="a", produced=11, stored=6, waiting=2, lost=0, unaccounted=3
        ),  # 3, 4, 6; 7 and 10 wait
        Book(tenant="acme", device="b", produced=4, stored=1, waiting=0, lost=0, unaccounted=3),
        Book(tenant="acme", device="c", produced=0, stored=0, waiting=0, lost=0, unaccounted=0),
    ]


def test_a_coarsened_window_counts_as_the_windows_in_it(tmp_path: Path) -> None:
    whole = window(6, COUNTS, b"schema-1", merged=4)
    found = book_of(
        tmp_path,
        sent("a", EPOCHS[0], [1, 2], spool_from=1),
        received("a", report(EPOCHS[0], [whole], produced=8, spool_from=3)),
        received("a", report(EPOCHS[0], [whole], produced=8, spool_from=3)),
        received("b", report(EPOCHS[0], [whole], produced=8, spool_from=7 - 4)),
    )
    assert found == [
        Book(tenant="acme", device="a", produced=8, stored=6, waiting=2, lost=0, unaccounted=0),
        Book(tenant="acme", device="b", produced=8, stored=4, waiting=2, lost=0, unaccounted=2),
    ]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(stored=st.sets(st.integers(1, 30), min_size=1), data=st.data())
def test_definition_of_the_wire(stored: set[int], data: st.DataObject, tmp_path_factory: object) -> None:
    newest = max(stored)
    spool_from = data.draw(st.integers(1, newest))
    order = data.draw(st.permutations(sorted(stored - {newest})))
    messages = [sent("a", EPOCHS[0], [seq], spool_from=1) for seq in order]
    messages.append(sent("a", EPOCHS[0], [newest], produced=40, spool_from=spool_from))
    (book,) = book_of(tmp_path_factory.mktemp("books"), *messages)  # type: ignore[attr-defined]
    below = sum(seq < spool_from for seq in stored)
    assert book.unaccounted == spool_from - 1 - below
    assert book.produced == book.stored + book.waiting + book.unaccounted == 40
