# SPDX-License-Identifier: Apache-2.0
"""What is forgotten changes no book, no sum, and does not come back when it is sent again."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from edgeml.fleet.books import books, totals
from edgeml.fleet.evaluation import evaluate
from edgeml.fleet.store import tables as t
from edgeml.fleet.store.engine import open_store, reading, writing
from edgeml.fleet.store.intake import take_in
from edgeml.fleet.store.retention import DAY_S, retain
from edgeml.fleet.store.rollup import counts_of
from edgeml.telemetry.messages import Report
from support.reports import NOON_S, normal_counts, normal_schema, received, report, window
from support.stores import NewStore

SCHEMA = normal_schema(features=2)
START_S = NOON_S - NOON_S % DAY_S
EPOCH = b"epoch--1"


@pytest.fixture
def store(new_store: NewStore) -> sa.Engine:
    engine = open_store(new_store())
    with writing(engine) as connection:
        row = {"schema_id": SCHEMA.id, "slots": SCHEMA.slot_count, "document": SCHEMA.to_bytes()}
        connection.execute(sa.insert(t.telemetry_schema), row)
    return engine


def day_of(day: int, *, missing: int = 0) -> Report:
    """A window every hour; `missing` leaves out the first ones."""
    rng = np.random.default_rng(day)
    seqs = range(24 * day + 1, 24 * day + 25)
    made = [window(s, normal_counts(SCHEMA, rng), SCHEMA.id, start=START_S + 3600 * (s - 1)) for s in seqs]
    return report(EPOCH, made[missing:], spool_from=1)


def feed(engine: sa.Engine, day: int, **more: int) -> None:
    with writing(engine) as connection:
        take_in(connection, [received("a", day_of(day, **more))], now_s=START_S + day * DAY_S, period_s=3600)


def sums(engine: sa.Engine) -> tuple[int, int, list[int]]:
    """Windows, releases and counts of all roll-ups."""
    with reading(engine) as connection:
        rows: list[Any] = [
            row for table in (t.rollup, t.rollup_day) for row in connection.execute(sa.select(table)).all()
        ]
    counts = sum(counts_of(row.counts) for row in rows)
    return sum(row.windows for row in rows), sum(row.releases for row in rows), list(counts)


def count(engine: sa.Engine, table: sa.Table) -> int:
    with reading(engine) as connection:
        return int(connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one())


def test_old_windows_go_and_sums_and_books_stay(store: sa.Engine) -> None:
    for day in range(6):
        feed(store, day)
    now_s = START_S + 5 * DAY_S
    evaluate(store, [], period_s=3600, now_s=now_s)
    before = sums(store)
    with reading(store) as connection:
        book = books(connection)
    retain(store, now_s=now_s, raw_days=3, fine_days=2)
    assert count(store, t.window) == 24 * 4
    assert count(store, t.rollup) == 24 * 3
    assert count(store, t.rollup_day) == 3
    with reading(store) as connection:
        oldest = connection.execute(sa.select(sa.func.min(t.drift.c.period_start_s))).scalar()
        assert oldest == START_S + 3 * DAY_S
        assert books(connection) == book
        assert totals(connection).unaccounted == 0
    assert count(store, t.drift_period) == 24 * 6
    feed(store, 0)  # sent again after it was forgotten
    assert count(store, t.window) == 24 * 4
    assert sums(store) == before
    retain(store, now_s=now_s, raw_days=3, fine_days=2)
    assert sums(store) == before


def test_windows_above_a_gap_and_without_schema_stay(store: sa.Engine) -> None:
    feed(store, 0)
    feed(store, 1, missing=5)
    retain(store, now_s=START_S + 100 * DAY_S)
    assert count(store, t.window) == 24 - 5
    with reading(store) as connection:
        (book,) = books(connection)
    assert (book.produced, book.stored, book.unaccounted) == (48, 43, 0)
    feed(store, 1)
    retain(store, now_s=START_S + 100 * DAY_S)
    assert count(store, t.window) == 0
    with reading(store) as connection:
        assert books(connection)[0].stored == 48


def test_windows_that_wait_for_their_schema_stay(new_store: NewStore) -> None:
    engine = open_store(new_store())
    feed(engine, 0)
    retain(engine, now_s=START_S + 100 * DAY_S)
    assert count(engine, t.window) == 24
