# SPDX-License-Identifier: Apache-2.0
"""Lives of a spool that end by SIGKILL at a chosen write, and an oracle that knows what must be there afterwards.

PYTHONPATH=python:tests/python LD_PRELOAD=write_faults.so python -m support.kill_points DIRECTORY LEAST SEED

Forks a child for each kill point. Every life goes on from what the one before left. Points run over all calls of a life,
each once with the process killed before the call and once in the middle of its bytes, until there were LEAST of them; before
them come the points of opening a damaged file and of beginning anew, all of them.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edgeml.privacy import PrivacyBudget, release
from edgeml.privacy.ledger import DAY_S, read_days
from edgeml.telemetry.messages import Ack
from edgeml.telemetry.spool import Spool, WindowSpan
from edgeml.telemetry.state_directory import SPOOL_FILE
from edgeml.telemetry.varint import pack_counts, unpack_counts
from support.counting import raw_window, small_schema
from support.write_faults import WriteFaults

NOON = 20_000.5 * DAY_S
BUDGET = PrivacyBudget(epsilon="1000", per_release="1")
MICRO_OF_RELEASE = 1_000_000
QUOTA_BYTES = 48 << 10  # small, so that lives coarsen
STORES_PER_LIFE = 3
NEVER = 1 << 40


@dataclass
class Oracle:
    """What the lives of one epoch have said so far."""

    counts: dict[int, np.ndarray] = field(default_factory=dict)  # of each seq whose store was begun
    stored: int = 0  # highest seq whose store returned
    reserved: int = 0  # reservations that returned
    begun: int = 0  # reservations that were begun
    acked: int = 0  # highest upto of an acknowledge that returned
    acking: int = 0  # of one that was begun
    sent: dict[int, str] = field(default_factory=dict)  # seq -> bytes of windows that a fleet may have


def open_spool(directory: Path, now: float) -> Spool:
    return Spool(directory, budget=BUDGET, now=now, bytes_max=QUOTA_BYTES)


def live(directory: Path, pipe: int, now: float, seed: int) -> None:
    """One life: stores, reports, acknowledges, keeps events; says each step before and after it."""

    def say(**what: Any) -> None:
        os.write(pipe, (json.dumps(what) + "\n").encode())

    chance = random.Random(seed)
    with closing(open_spool(directory, now)) as spool:
        for _ in range(STORES_PER_LIFE):
            say(reserving=True)
            reservation = spool.ledger.reserve(now)
            say(reserved=True)
            released = release(raw_window(), reservation=reservation, sensitivity=2)
            seq = spool.produced() + 1
            say(storing=seq, counts=pack_counts(released.counts).hex())
            span = WindowSpan(model_id=b"modelid8", schema_id=small_schema().id, start=now - 300, end=now)
            spool.store(released, reservation=reservation, span=span)
            say(stored=seq)
        spool.add_event("budget_spent", now, "until tomorrow")
        # A fleet that hears of little now and then, so that the spool fills up and is coarsened.
        report = spool.report(0, now) if chance.random() < 0.4 else None
        if report is not None:
            windows = report.windows[: chance.randint(1, len(report.windows))]
            say(sent=[[w.seq, w.merged, w.packed_counts.hex()] for w in report.windows])
            upto = windows[-1].seq
            say(acking=upto)
            spool.acknowledge(Ack(epoch=report.epoch, contiguous_upto=upto, ledger_head=report.ledger_head))
            say(acked=upto)
        for number, _ in spool.events()[:2]:
            spool.remove_event(number)


def hear(oracle: Oracle, said: list[dict[str, Any]]) -> None:
    """Take in what a life said."""
    for one in said:
        oracle.begun += "reserving" in one
        oracle.reserved += "reserved" in one
        if "storing" in one:
            oracle.counts[one["storing"]] = unpack_counts(bytes.fromhex(one["counts"]))
        oracle.stored = one.get("stored", oracle.stored)
        oracle.acking = max(oracle.acking, one.get("acking", 0))
        oracle.acked = max(oracle.acked, one.get("acked", 0))
        for seq, merged, packed in one.get("sent", ()):
            if oracle.sent.setdefault(seq, packed) != packed:
                raise AssertionError(f"window {seq} was sent with other bytes")
            if merged == 1 and not np.array_equal(unpack_counts(bytes.fromhex(packed)), oracle.counts[seq]):
                raise AssertionError(f"window {seq} was sent with other counts than were released")


def check(oracle: Oracle, directory: Path, now: float, epoch: bytes) -> None:
    """Compare the state on disk with the oracle: nothing lost, nothing double, nothing refunded."""
    with closing(open_spool(directory, now)) as spool:
        assert spool.epoch == epoch, "a kill is no damage: the epoch stays"
        produced, upto = spool.produced(), spool.acked_upto()
        assert produced in (oracle.stored, max(oracle.counts, default=0)), "what was stored is there"
        assert upto in (oracle.acked, oracle.acking), "what was acknowledged is gone, nothing else"
        windows, after = [], 0
        while page := spool.windows(after):
            windows += page
            after = page[-1].seq
        assert spool.lost() == ()
        covered = upto
        for window in windows:
            assert window.first_seq == covered + 1, "every window stands once"
            total = sum(oracle.counts[seq] for seq in range(window.first_seq, window.seq + 1))
            assert np.array_equal(window.counts, total), "every count stands once"
            assert oracle.sent.get(window.seq, window.packed_counts.hex()) == window.packed_counts.hex()
            covered = window.seq
        assert covered == produced
        entries = spool.ledger.head().entries
        assert oracle.reserved <= entries <= oracle.begun, "what was reserved is spent"
        days = read_days(directory / SPOOL_FILE)
        assert sum(day.releases for day in days) == entries
        assert sum(day.spent_micro for day in days) == entries * MICRO_OF_RELEASE
        assert sum(day.releases - day.burnt for day in days) == produced, "each window has its own entry"
        # The next life goes on from what is true.
        oracle.stored, oracle.acked, oracle.acking = produced, upto, upto
        oracle.reserved = oracle.begun = entries
        for seq in [one for one in oracle.counts if one > produced or one <= upto]:
            del oracle.counts[seq]


def run_child(work: Any, kill_at: int, *, torn: bool) -> tuple[list[dict[str, Any]], bool, int]:
    """Run `work(pipe)` in a fork that dies at a call; gives what it said, whether it was killed, and its calls."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.close(read_end)
            faults = WriteFaults()
            faults.kill_at(kill_at, torn=torn)
            work(write_end)
            os.write(write_end, (json.dumps({"calls": faults.calls}) + "\n").encode())
            code = 0
        finally:
            os._exit(code)
    os.close(write_end)
    with os.fdopen(read_end) as stream:
        said = [json.loads(line) for line in stream if line.endswith("\n")]
    _, status = os.waitpid(child, 0)
    was_killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    if not was_killed and os.WEXITSTATUS(status) != 0:
        raise AssertionError(f"a life failed by itself at call {kill_at}")
    return said, was_killed, next((one["calls"] for one in said if "calls" in one), 0)


def run_lives(directory: Path, least: int, seed: int) -> dict[str, int]:
    """Kill lives until there were `least` kills; all calls of a life come round again and again."""
    oracle = Oracle()
    with closing(open_spool(directory, NOON)) as spool:  # a kill before the epoch exists costs the day, see run_repairs
        epoch = spool.epoch
    kills = lives = call = longest = 0
    while kills < least:
        call += 1
        for torn in (False, True):
            lives += 1
            now = NOON + lives // 50 * DAY_S
            said, was_killed, calls = run_child(
                lambda pipe, now=now, lives=lives: live(directory, pipe, now, seed + lives), call, torn=torn
            )
            kills += was_killed
            longest = max(longest, call if was_killed else calls)
            hear(oracle, said)
            check(oracle, directory, now, epoch)
            if not was_killed:
                call = 0
    return {"kills": kills, "lives": lives, "calls_max": longest, "produced": oracle.stored, "acked": oracle.acked}


def run_repairs(directory: Path, seed: int) -> dict[str, int]:
    """Kill the opening of a damaged file, and a new beginning, at every call: the day is spent whatever happens."""
    base = directory / "base"
    with closing(open_spool(base, NOON)) as spool:
        for _ in range(3):
            reservation = spool.ledger.reserve(NOON)
            released = release(raw_window(), reservation=reservation, sensitivity=2)
            span = WindowSpan(model_id=b"modelid8", schema_id=small_schema().id, start=0, end=1)
            spool.store(released, reservation=reservation, span=span)
        head = spool.ledger.head()

    def damage(state: Path) -> None:
        path = state / SPOOL_FILE
        data = bytearray(path.read_bytes())
        middle = slice(1024, len(data) - 1024)
        data[middle] = random.Random(seed).randbytes(middle.stop - middle.start)
        path.write_bytes(data)

    def reopen(state: Path) -> None:
        open_spool(state, NOON).close()

    def begin_anew(state: Path) -> None:
        with closing(open_spool(state, NOON)) as spool:
            if spool.produced():
                spool.begin_anew(NOON, head)

    kills = 0
    cases = (
        (damage, reopen, True),
        (lambda state: (state / SPOOL_FILE).write_bytes(b""), reopen, True),
        (lambda _: None, begin_anew, False),
    )
    for prepare, work, is_damage in cases:
        for torn in (False, True):
            call = 0
            while True:
                call += 1
                state = directory / "state"
                shutil.rmtree(state, ignore_errors=True)
                shutil.copytree(base, state)
                prepare(state)
                _, was_killed, _ = run_child(lambda _, work=work, state=state: work(state), call, torn=torn)
                with closing(open_spool(state, NOON)) as spool:
                    is_new = spool.produced() == 0
                    assert is_new or not is_damage
                    assert spool.ledger.can_reserve(NOON) != is_new, "a new epoch has nothing left of the day"
                if not was_killed:
                    break
                kills += 1
    return {"kills": kills}


def main() -> None:
    directory, least, seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    repairs = run_repairs(directory / "repairs", seed)
    lives = run_lives(directory / "lives", least, seed)
    print(json.dumps({"kills": lives["kills"] + repairs["kills"], "lives": lives, "repairs": repairs}))


if __name__ == "__main__":
    main()
