# SPDX-License-Identifier: Apache-2.0
"""The spool's write-ahead log, cut off and damaged at every frame: what comes back is a state that was, never garbage.

A medium that forgets what it said was written loses whole transactions. What the fleet has heard of by then finds it out.
"""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from edgeml.privacy import PrivacyBudget, release
from edgeml.privacy.durable_file import PAGE_BYTES
from edgeml.privacy.ledger import DAY_S, Head
from edgeml.telemetry.messages import Ack
from edgeml.telemetry.spool import Spool, WindowSpan
from edgeml.telemetry.state_directory import SPOOL_FILE
from support.counting import raw_window, small_schema

NOON = 20_000.5 * DAY_S
BUDGET = PrivacyBudget(epsilon="1000", per_release="1")
HEADER_BYTES = 32  # of the log (SQLite, file format, section 4.1)
FRAME_BYTES = 24 + PAGE_BYTES
WINDOWS = 14


def open_spool(directory: Path) -> Spool:
    return Spool(directory, budget=BUDGET, now=NOON)


def state_of(spool: Spool) -> tuple[Any, ...]:
    head = spool.ledger.head()
    return spool.epoch, spool.produced(), spool.acked_upto(), spool.windows(0), spool.lost(), head, len(spool.events())


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[tuple[Any, ...]], list[Head]]:
    """A state with a long log, every state that its transactions went through, and what the fleet could have heard."""
    folder = tmp_path_factory.mktemp("recorded")
    with closing(open_spool(folder / "live")):
        pass  # the tables are in the file, the log is empty
    states, heads = [], []
    with closing(open_spool(folder / "live")) as spool:
        states.append(state_of(spool))
        for number in range(WINDOWS):
            reservation = spool.ledger.reserve(NOON)
            states.append(state_of(spool))
            released = release(raw_window(), reservation=reservation, sensitivity=2)
            span = WindowSpan(model_id=b"modelid8", schema_id=small_schema().id, start=NOON, end=NOON)
            spool.store(released, reservation=reservation, span=span)
            states.append(state_of(spool))
            if number % 5 == 4:
                spool.add_event("budget_spent", NOON, "x")
                states.append(state_of(spool))
                spool.acknowledge(Ack(epoch=spool.epoch, contiguous_upto=number - 2))
                states.append(state_of(spool))
        heads.append(spool.ledger.head())
        shutil.copytree(folder / "live", folder / "base")  # as a power cut leaves it: nothing is folded back
    return folder / "base", states, heads


def recovered(base: Path, directory: Path, log: bytes) -> tuple[tuple[Any, ...], Spool]:
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    shutil.copy(base / SPOOL_FILE, directory)
    (directory / f"{SPOOL_FILE}-wal").write_bytes(log)
    spool = open_spool(directory)
    return state_of(spool), spool


def test_a_log_that_ends_early_gives_a_state_that_was(
    tmp_path: Path, recorded: tuple[Path, list[tuple[Any, ...]], list[Head]]
) -> None:
    base, states, (newest,) = recorded
    log = (base / f"{SPOOL_FILE}-wal").read_bytes()
    frames = (len(log) - HEADER_BYTES) // FRAME_BYTES
    assert frames > 50
    reached = 0
    for frame in range(frames + 1):
        for into in (0, 10, 24, 700):
            state, spool = recovered(base, tmp_path / "cut", log[: HEADER_BYTES + frame * FRAME_BYTES + into])
            with closing(spool):
                assert state in states, f"cut {into} bytes into frame {frame}"
                assert states.index(state) >= reached, "a longer log never gives an earlier state"
                reached = states.index(state)
                is_newest = state[5] == newest
                assert spool.ledger.has(newest) == is_newest, "a fleet that has heard of more finds it out"
    assert reached == len(states) - 1


def test_a_log_with_a_changed_byte_gives_a_state_that_was(
    tmp_path: Path, recorded: tuple[Path, list[tuple[Any, ...]], list[Head]]
) -> None:
    base, states, _ = recorded
    log = (base / f"{SPOOL_FILE}-wal").read_bytes()
    frames = (len(log) - HEADER_BYTES) // FRAME_BYTES
    whole = [
        index
        for frame in range(frames + 1)
        for index in [
            states.index(_closed(recovered(base, tmp_path / "cut", log[: HEADER_BYTES + frame * FRAME_BYTES])))
        ]
    ]
    for frame in range(frames):
        for into in (3, 20, 24 + 500):
            damaged = bytearray(log)
            damaged[HEADER_BYTES + frame * FRAME_BYTES + into] ^= 0x40
            state = _closed(recovered(base, tmp_path / "bad", bytes(damaged)))
            assert states.index(state) == whole[frame], f"byte {into} of frame {frame}"


def _closed(found: tuple[tuple[Any, ...], Spool]) -> tuple[Any, ...]:
    found[1].close()
    return found[0]


def test_what_the_recovery_threw_away_is_told_once_the_fleet_answers(
    tmp_path: Path, recorded: tuple[Path, list[tuple[Any, ...]], list[Head]]
) -> None:
    base, states, (newest,) = recorded
    log = (base / f"{SPOOL_FILE}-wal").read_bytes()
    state, spool = recovered(base, tmp_path / "cut", log[: len(log) // 2])
    with closing(spool):
        assert 0 < states.index(state) < len(states) - 1
        spool.begin_anew(NOON, newest)
        assert not spool.ledger.can_reserve(NOON)
        assert "ledger_forked" in {event.kind for _, event in spool.events()}
