# SPDX-License-Identifier: Apache-2.0
"""Windows a second that one collector takes into SQLite: decoding with the check of signatures, storing, both; medians.

PYTHONPATH=python:tests/python python bench/fleet_ingest.py [--rounds 5]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import sqlalchemy as sa

from edgeml.fleet.received import Received, read_message
from edgeml.fleet.store import tables as t
from edgeml.fleet.store.engine import open_store, writing
from edgeml.fleet.store.intake import take_in
from edgeml.telemetry.topics import topic
from support.reports import known_key, normal_counts, normal_schema, report, sealed, window

DEVICES = 100
WINDOWS_OF_REPORT = 16
MESSAGES_OF_BATCH = 50
REPORTS_OF_DEVICE = 10


def reports(features: int, bins: int, *, known: bool) -> tuple[list[tuple[str, bytes]], int, bytes, bytes]:
    """Payloads of a fleet in the order in which devices take turns; slots of a window, schema id and document."""
    schema = normal_schema(features=features, bins=bins)
    rng = np.random.default_rng(1)
    vectors = [normal_counts(schema, rng) for _ in range(8)]
    payloads = []
    for turn in range(REPORTS_OF_DEVICE):
        for device in range(DEVICES):
            first = turn * WINDOWS_OF_REPORT + 1
            windows = [window(first + i, vectors[(device + i) % 8], schema.id) for i in range(WINDOWS_OF_REPORT)]
            name = topic("bench", f"device-{device}", "tel")
            payloads.append((name, sealed(name, report(device.to_bytes(8, "big"), windows))))
    return payloads, schema.slot_count, schema.id, schema.to_bytes() if known else b""


def round_of(payloads: list[tuple[str, bytes]], slots: int, schema_id: bytes, document: bytes) -> tuple[float, float]:
    """Seconds for decoding and for storing all payloads."""
    start = time.perf_counter()
    messages = [read_message(name, payload, known_key) for name, payload in payloads]
    decoded = time.perf_counter()
    batch = [message for message in messages if isinstance(message, Received)]
    assert len(batch) == len(payloads)
    with tempfile.TemporaryDirectory() as folder:
        engine = open_store(f"sqlite:///{Path(folder) / 'fleet.db'}")
        if document:
            with writing(engine) as connection:
                row = {"schema_id": schema_id, "slots": slots, "document": document}
                connection.execute(sa.insert(t.telemetry_schema), row)
        begin = time.perf_counter()
        for first in range(0, len(batch), MESSAGES_OF_BATCH):
            with writing(engine) as connection:
                take_in(connection, batch[first : first + MESSAGES_OF_BATCH], now_s=0, period_s=3600)
        stored = time.perf_counter()
        engine.dispose()
    return decoded - start, stored - begin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    cases = {
        "23 slots, stored only": reports(1, 4, known=False),
        "340 slots, stored only": reports(24, 10, known=False),
        "340 slots, rolled up": reports(24, 10, known=True),
    }
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in cases}
    for _ in range(args.rounds):
        for name, case in cases.items():
            times[name].append(round_of(*case))
    total = DEVICES * WINDOWS_OF_REPORT * REPORTS_OF_DEVICE
    print(
        f"{total} windows, {DEVICES} devices, {WINDOWS_OF_REPORT} windows a report,"
        f" {MESSAGES_OF_BATCH} reports a commit"
    )
    for name, rounds in times.items():
        decode = total / statistics.median(d for d, _ in rounds)
        store = total / statistics.median(s for _, s in rounds)
        both = total / statistics.median(d + s for d, s in rounds)
        print(f"{name:24s} decode {decode:9,.0f}/s   store {store:9,.0f}/s   both {both:9,.0f}/s")


if __name__ == "__main__":
    main()
