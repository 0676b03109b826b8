# SPDX-License-Identifier: Apache-2.0
"""Lost windows: the books count them, acks pass over them, and what is stored is never lost too."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa

from edgeml.fleet.books import Book, books
from edgeml.fleet.store import tables as t
from edgeml.fleet.store.engine import open_store, reading, writing
from edgeml.fleet.store.intake import take_in
from edgeml.telemetry.messages import Ack, Report
from support.reports import HEAD, NOON_S, normal_counts, normal_schema, received, report, window

SCHEMA = normal_schema(features=1, bins=4)
EPOCH = b"epoch--1"
RNG = np.random.default_rng(5)


@pytest.fixture
def store(tmp_path: Path) -> sa.Engine:
    return open_store(f"sqlite:///{tmp_path / 'fleet.db'}")


def feed(engine: sa.Engine, *reports: Report) -> Ack:
    with writing(engine) as connection:
        (to,) = take_in(connection, [received("d", one) for one in reports], now_s=NOON_S, period_s=3600)
    return to.ack


def book(engine: sa.Engine) -> tuple[int, int, int, int, int]:
    with reading(engine) as connection:
        (one,) = books(connection)
    assert isinstance(one, Book)
    return one.produced, one.stored, one.waiting, one.lost, one.unaccounted


def of(*seqs: int, lost: tuple[tuple[int, int], ...] = (), spool_from: int = 1, merged: int = 1) -> Report:
    windows = [window(seq, normal_counts(SCHEMA, RNG), SCHEMA.id, merged=merged) for seq in seqs]
    return report(EPOCH, windows, lost=lost, spool_from=spool_from)


def test_an_ack_passes_over_what_is_lost(store: sa.Engine) -> None:
    assert feed(store, of(1, 2, 5, lost=((3, 4),))).contiguous_upto == 5
    assert book(store) == (5, 3, 0, 2, 0)
    assert feed(store, of(7, 8, spool_from=6)) == Ack(epoch=EPOCH, contiguous_upto=5, holes=(7, 8), ledger_head=HEAD)
    assert feed(store, of(lost=((6, 6),), spool_from=6)).contiguous_upto == 8
    assert feed(store, of(9, spool_from=9)).contiguous_upto == 9
    assert book(store) == (9, 6, 0, 3, 0)


def test_what_is_stored_is_not_lost(store: sa.Engine) -> None:
    """The ack of windows 1 to 6 never arrived, then the medium destroyed rows on the device."""
    feed(store, of(1, 2))
    feed(store, of(6, merged=3))
    assert feed(store, of(lost=((1, 1), (3, 7)))).contiguous_upto == 7
    assert book(store) == (7, 5, 0, 2, 0)
    assert feed(store, of(lost=((1, 1), (3, 7)))).contiguous_upto == 7
    assert book(store) == (7, 5, 0, 2, 0)


def test_a_loss_is_not_unaccounted_and_a_silent_one_is(store: sa.Engine) -> None:
    feed(store, of(1, 2, 6, lost=((4, 4),)))
    assert book(store) == (6, 3, 2, 1, 0)
    feed(store, of(7, spool_from=7))  # 3 and 5: deleted on the device, never told
    assert book(store) == (7, 4, 0, 1, 2)


def test_any_order_and_repetition_gives_the_same_books(tmp_path: Path) -> None:
    reports = [of(1, 2), of(4, lost=((3, 3),)), of(5, 8, lost=((6, 6), (7, 7))), of(9, lost=((3, 3), (6, 7)))]
    results = set()
    for seed in range(8):
        engine = open_store(f"sqlite:///{tmp_path / f'{seed}.db'}")
        shuffled = reports * 2
        random.Random(seed).shuffle(shuffled)
        for one in shuffled:
            feed(engine, one)
        with reading(engine) as connection:
            row = connection.execute(sa.select(t.epoch.c.contiguous_upto, t.epoch.c.lost)).one()
        results.add((*book(engine), *row))
    assert results == {(9, 6, 0, 3, 0, 9, 3)}
