# SPDX-License-Identifier: Apache-2.0
"""Windows a second that collectors take into a store, from MQTT payloads in memory to committed rows and roll-ups.

A record is a window. Each collector is a process that does for each batch what a running one does: decode and check
the messages, then one transaction (windows, roll-ups, books). The broker is left out, and so are signatures, which have
a line of their own.

PYTHONPATH=python:tests/python python bench/fleet_ingest.py [--rounds 5] [--collectors 1 2] [--postgresql]
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from multiprocessing.synchronize import Barrier
from pathlib import Path

import numpy as np
import sqlalchemy as sa

from edgeml.fleet.received import Received, _counts_of, read_message
from edgeml.fleet.store import tables as t
from edgeml.fleet.store.engine import open_store, reading, writing
from edgeml.fleet.store.intake import take_in
from edgeml.observe.schema import TelemetrySchema
from edgeml.telemetry import codec, envelope
from edgeml.telemetry.topics import parse_topic, topic
from support.postgresql import postgresql
from support.reports import known_key, normal_counts, normal_schema, report, sealed, window
from support.stores import KINDS, NewStore, new_store_of

DEVICES = 100  # of each collector
MESSAGES_OF_BATCH = 100


@dataclass(frozen=True, kw_only=True)
class Case:
    """What the devices send, and whether the fleet knows their schema (only then windows are rolled up)."""

    features: int
    bins: int
    windows_of_report: int
    reports_of_device: int
    known: bool = True

    @property
    def schema(self) -> TelemetrySchema:
        return normal_schema(features=self.features, bins=self.bins)

    @property
    def windows(self) -> int:
        return DEVICES * self.windows_of_report * self.reports_of_device

    @cache  # noqa: B019  three cases, for the time of the run
    def payloads(self, collector: int) -> list[tuple[str, bytes]]:
        """Messages of the devices of a collector, in the order in which they take turns."""
        rng, schema = np.random.default_rng(1), self.schema
        vectors = [normal_counts(schema, rng) for _ in range(8)]
        made = []
        for turn in range(self.reports_of_device):
            for device in range(DEVICES * collector, DEVICES * (collector + 1)):
                seqs = range(turn * self.windows_of_report + 1, (turn + 1) * self.windows_of_report + 1)
                windows = [window(seq, vectors[(device + seq) % 8], schema.id) for seq in seqs]
                name = topic("bench", f"device-{device}", "tel")
                made.append((name, sealed(name, report(device.to_bytes(8, "big"), windows))))
        return made


CASES = {
    "32 slots, 16 windows a report": Case(features=1, bins=2, windows_of_report=16, reports_of_device=20),
    "339 slots, 16 windows a report": Case(features=24, bins=10, windows_of_report=16, reports_of_device=20),
    "339 slots, 64 windows a report": Case(features=24, bins=10, windows_of_report=64, reports_of_device=5),
    "339 slots, 1 window a report": Case(features=24, bins=10, windows_of_report=1, reports_of_device=60),
}


def read_unsigned(name: str, payload: bytes) -> Received:
    """What read_message does, but for the signature."""
    message = codec.decode("tel", envelope.unseal(payload).message)
    return Received(topic=parse_topic(name), message=message, payload=payload, counts=_counts_of(message))


def collect(url: str, payloads: list[tuple[str, bytes]]) -> float:
    """Do what a collector does with these messages; gives the seconds."""
    engine = open_store(url)
    began = time.perf_counter()
    for first in range(0, len(payloads), MESSAGES_OF_BATCH):
        batch = [read_unsigned(name, payload) for name, payload in payloads[first : first + MESSAGES_OF_BATCH]]
        with writing(engine) as connection:
            take_in(connection, batch, now_s=0, period_s=3600)
    seconds = time.perf_counter() - began
    engine.dispose()
    return seconds


def collect_with_others(url: str, case: Case, collector: int, start: Barrier, done: Barrier) -> None:
    """Collect a share of the messages from when all are ready."""
    payloads = case.payloads(collector)
    start.wait()
    collect(url, payloads)
    done.wait()


def windows_per_second(url: str, case: Case, collectors: int) -> float:
    """Start so many collectors at once; gives what they take in together."""
    engine = open_store(url)
    if case.known:
        with writing(engine) as connection:
            schema = case.schema
            row = {"schema_id": schema.id, "slots": schema.slot_count, "document": schema.to_bytes()}
            connection.execute(sa.insert(t.telemetry_schema), row)
    engine.dispose()
    if collectors == 1:  # in this process: nothing to start, and nothing to wait for
        return case.windows / collect(url, case.payloads(0))
    context = multiprocessing.get_context("spawn")
    start, done = context.Barrier(collectors + 1), context.Barrier(collectors + 1)
    processes = [
        context.Process(target=collect_with_others, args=(url, case, collector, start, done))
        for collector in range(collectors)
    ]
    for process in processes:
        process.start()
    start.wait()
    began = time.perf_counter()
    done.wait()
    seconds = time.perf_counter() - began
    for process in processes:
        process.join()
    with reading(open_store(url)) as connection:
        stored = connection.execute(sa.select(sa.func.count()).select_from(t.window)).scalar_one()
    assert stored == case.windows * collectors, stored
    return case.windows * collectors / seconds


def decoded_per_second(case: Case, *, signatures: bool) -> float:
    payloads = case.payloads(0)
    began = time.perf_counter()
    for name, payload in payloads:
        one = read_message(name, payload, known_key) if signatures else read_unsigned(name, payload)
        assert isinstance(one, Received)
    return case.windows / (time.perf_counter() - began)


@contextmanager
def stores(kinds: list[str]) -> Iterator[dict[str, NewStore]]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        made = {}
        for kind in kinds:
            durable = ("fsync=on", "shared_buffers=256MB", "max_wal_size=4GB")
            server = stack.enter_context(postgresql(*durable)) if kind == "postgresql" else None
            made[kind] = new_store_of(kind, folder, server)
        yield made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--collectors", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--stores", nargs="+", choices=KINDS, default=["sqlite"])
    parser.add_argument("--cases", nargs="+", type=int, default=range(len(CASES)), help="numbers, from 0")
    args = parser.parse_args()
    chosen = {name: case for i, (name, case) in enumerate(CASES.items()) if i in args.cases}
    rates: dict[tuple[str, str], list[float]] = {}
    with stores(args.stores) as new_stores:
        for _ in range(args.rounds):
            for name, case in chosen.items():
                for what, signatures in (("decode", False), ("decode, check signatures", True)):
                    rates.setdefault((name, what), []).append(decoded_per_second(case, signatures=signatures))
                for kind, new_store in new_stores.items():
                    for collectors in args.collectors:
                        rate = windows_per_second(new_store(), case, collectors)
                        rates.setdefault((name, f"{kind}, collectors: {collectors}"), []).append(rate)
    print(f"windows a second, {MESSAGES_OF_BATCH} reports a commit, medians of {args.rounds}")
    for (name, what), found in rates.items():
        print(f"{name:32s} {what:26s} {statistics.median(found):9,.0f}   ({min(found):,.0f} to {max(found):,.0f})")


if __name__ == "__main__":
    main()
