# SPDX-License-Identifier: Apache-2.0
"""Copies of a device's state at the fleet: refused, kept aside with the reason, told apart in an event."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa

from edgeml.fleet.received import Received
from edgeml.fleet.store import tables as t
from edgeml.fleet.store.engine import open_store, reading, writing
from edgeml.fleet.store.intake import AckTo, take_in
from edgeml.privacy.ledger import Head
from edgeml.telemetry.messages import NO_HEAD, Ack, Birth
from support.reports import MODEL_ID, NOON_S, normal_counts, normal_schema, received, report, window

SCHEMA = normal_schema(features=1, bins=4)
EPOCH = b"epoch--1"
RNG = np.random.default_rng(5)
WINDOWS = [window(seq, normal_counts(SCHEMA, RNG), SCHEMA.id) for seq in range(1, 9)]
OTHERS = [window(seq, normal_counts(SCHEMA, RNG), SCHEMA.id) for seq in range(1, 9)]  # the copy's own noise


@pytest.fixture
def store(tmp_path: Path) -> sa.Engine:
    return open_store(f"sqlite:///{tmp_path / 'fleet.db'}")


def head(entries: int, who: str = "a") -> Head:
    return Head(entries=entries, hash=f"{who}{entries}".encode().ljust(32))


def told(first: int, last: int, known: Head, windows: list[object] = WINDOWS) -> Received:  # type: ignore[assignment]
    one = report(EPOCH, windows[first - 1 : last], spool_from=1)  # type: ignore[arg-type]
    return received("d", replace(one, ledger_head=known))


def birth(known: Head, epoch: bytes = EPOCH) -> Received:
    one = Birth(
        epoch=epoch,
        edgeml_version="0.1.0",
        isa="avx2",
        model_id=MODEL_ID,
        schema_id=SCHEMA.id,
        model_name="m",
        time=NOON_S,
        ledger_head=known,
    )
    return received("d", one, channel="birth")


def feed(engine: sa.Engine, *messages: Received) -> list[Ack]:
    with writing(engine) as connection:
        acks: list[AckTo] = take_in(connection, messages, now_s=NOON_S, period_s=3600)
    return [to.ack for to in acks]


def stored(engine: sa.Engine) -> list[tuple[int, bytes]]:
    with reading(engine) as connection:
        rows = connection.execute(sa.select(t.window.c.seq, t.window.c.packed_counts).order_by(t.window.c.seq))
        return [(row.seq, row.packed_counts) for row in rows]


def column(engine: sa.Engine, what: sa.Column[str]) -> list[str]:
    with reading(engine) as connection:
        return list(connection.execute(sa.select(what)).scalars())


def test_every_ack_names_the_newest_head(store: sa.Engine) -> None:
    assert feed(store, birth(head(4))) == [Ack(epoch=EPOCH, contiguous_upto=0, ledger_head=NO_HEAD)]
    assert feed(store, told(1, 2, head(2)), told(3, 4, head(4))) == [
        Ack(epoch=EPOCH, contiguous_upto=4, ledger_head=head(4))
    ]
    assert feed(store, birth(head(2))) == [Ack(epoch=EPOCH, contiguous_upto=4, ledger_head=head(4))]
    assert feed(store, birth(head(9))) == [Ack(epoch=EPOCH, contiguous_upto=4, ledger_head=head(4))]
    assert feed(store, birth(head(9), b"another!")) == [Ack(epoch=b"another!", contiguous_upto=0)]
    assert feed(store, replace(birth(head(9)), retained=True)) == []
    assert feed(store, birth(head(9)), told(5, 5, head(5))) == [
        Ack(epoch=EPOCH, contiguous_upto=5, ledger_head=head(5))
    ]


def test_repetitions_with_a_lower_head_are_harmless(store: sa.Engine) -> None:
    feed(store, told(1, 2, head(2)), told(3, 4, head(4)))
    before = stored(store)
    assert feed(store, told(1, 2, head(2))) == [Ack(epoch=EPOCH, contiguous_upto=4, ledger_head=head(4))]
    assert stored(store) == before
    assert column(store, t.quarantine.c.reason) == column(store, t.event.c.detail) == []


@pytest.mark.parametrize("same_batch", [True, False])
def test_a_copy_is_refused_and_told_apart(store: sa.Engine, same_batch: bool) -> None:
    """The fleet has heard of 4 entries; the copy ends at 2 and makes its own third, fourth and fifth."""
    original = [told(1, 2, head(2)), told(3, 4, head(4))]
    copies = [
        told(3, 4, head(4, "b"), OTHERS),  # another fourth entry
        told(3, 5, head(5, "b"), OTHERS),  # higher, but window 3 has other contents
        told(4, 4, head(4, "b"), WINDOWS),  # everything is stored, but the entry is another
    ]
    if same_batch:
        (ack,) = feed(store, *original, *copies)
    else:
        feed(store, *original)
        for one in copies:
            (ack,) = feed(store, one)
    assert ack == Ack(epoch=EPOCH, contiguous_upto=4, ledger_head=head(4))
    assert stored(store) == [(w.seq, w.packed_counts) for w in WINDOWS[:4]]
    assert column(store, t.quarantine.c.reason) == [
        "window 3 is stored with other contents",
        "window 3 is stored with other contents",
        "entry 4 of the ledger is known with another hash",
    ]
    assert column(store, t.event.c.kind) == ["ledger_forked"] * 2
    (first, second) = column(store, t.event.c.detail)
    assert head(4).hash.hex()[:16] in first
    assert head(4, "b").hash.hex()[:16] in first
    assert head(5, "b").hash.hex()[:16] in second
    assert feed(store, told(5, 5, head(5))) == [Ack(epoch=EPOCH, contiguous_upto=5, ledger_head=head(5))]


def test_a_lower_head_that_brings_anything_new_is_refused(store: sa.Engine) -> None:
    feed(store, told(1, 4, head(4)))
    assert feed(store, told(5, 5, head(3))) == [Ack(epoch=EPOCH, contiguous_upto=4, ledger_head=head(4))]
    assert column(store, t.quarantine.c.reason) == ["the ledger's newest entry is 3, the known one 4"]
    assert feed(store, told(5, 5, head(5))) == [Ack(epoch=EPOCH, contiguous_upto=5, ledger_head=head(5))]
    assert len(stored(store)) == 5


def test_a_copy_that_coarsened_what_is_stored_is_refused(store: sa.Engine) -> None:
    feed(store, told(1, 4, head(4)))
    merged = window(6, normal_counts(SCHEMA, RNG), SCHEMA.id, merged=3)
    feed(store, received("d", replace(report(EPOCH, [merged], spool_from=1), ledger_head=head(9, "b"))))
    assert column(store, t.quarantine.c.reason) == ["window 6 is stored with other contents"]
    assert len(stored(store)) == 4
