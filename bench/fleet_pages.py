# SPDX-License-Identifier: Apache-2.0
"""Milliseconds of dashboard pages and API answers over a large store: 10,000 devices, 30 days of roll-ups.

Makes the store as retention leaves it (the newest days by the hour, the ones before by the day), then asks for each page.

PYTHONPATH=python:tests/python python bench/fleet_pages.py [--devices 10000] [--rounds 9] [--keep DIR]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import sqlalchemy as sa
from starlette.testclient import TestClient

from edgeml.fleet.dashboard.app import make_app
from edgeml.fleet.store import tables as t
from edgeml.fleet.store.engine import open_store, writing
from edgeml.fleet.store.retention import DAY_S, FINE_DAYS
from edgeml.fleet.store.statements import insert_many
from edgeml.fleet.tokens import add_token
from support.reports import MODEL_ID, NOON_S, normal_counts, normal_schema

DAYS = 30
HOUR_S = 3600
SCHEMA = normal_schema(features=3)
NOW_S = NOON_S - NOON_S % DAY_S
TOKEN = "token of the benchmark"  # noqa: S105


def fill(engine: sa.Engine, devices: int) -> dict[str, int]:
    """Write the rows directly; gives how many of each table."""
    rng = np.random.default_rng(1)
    vectors = [normal_counts(SCHEMA, rng).astype("<i8").tobytes() for _ in range(64)]
    hours = range(NOW_S - FINE_DAYS * DAY_S, NOW_S, HOUR_S)
    days = range(NOW_S - DAYS * DAY_S, NOW_S - FINE_DAYS * DAY_S, DAY_S)
    features = [i for i, one in enumerate(SCHEMA.features) if one.source != "latency"]
    made = dict.fromkeys(("device", "epoch", "rollup", "rollup_day", "drift", "drift_period"), 0)

    def put(connection: sa.Connection, table: sa.Table, rows: list[tuple[object, ...]], *skip: str) -> None:
        insert_many(connection, [c for c in table.c if c.name not in skip], rows)
        made[table.name] += len(rows)

    with writing(engine) as connection:
        row = {"schema_id": SCHEMA.id, "slots": SCHEMA.slot_count, "document": SCHEMA.to_bytes()}
        connection.execute(sa.insert(t.telemetry_schema), row)
        add_token(connection, name="bench", role="viewer", now_s=NOW_S, secret=TOKEN)
        who = [
            ("plant", f"device-{i:05d}", 0, NOW_S - i % 1800, True, "0.1.0", "neondot", MODEL_ID, SCHEMA.id, "m", 1, 9)
            for i in range(devices)
        ]
        put(connection, t.device, who, "id")
        ids = connection.execute(sa.select(t.device.c.id).order_by(t.device.c.id)).scalars().all()
        epochs = [(i, i.to_bytes(8, "big"), 8640, 8641, 8640, 8640, 0, b"", 0) for i in ids]
        put(connection, t.epoch, epochs, "id")
    for first in range(0, devices, 500):
        some = ids[first : first + 500]
        key = (MODEL_ID, SCHEMA.id)
        with writing(engine) as connection:
            fine = [(i, *key, s, 4, 1, 12, 12, vectors[(i + s) % 64], True) for i in some for s in hours]
            put(connection, t.rollup, fine, "id")
            coarse = [(i, *key, s, 4, 1, 288, 288, vectors[(i + s) % 64]) for i in some for s in days]
            put(connection, t.rollup_day, coarse, "id")
            psi = rng.gamma(1.0, 0.03, (len(some), len(hours), len(features)))
            tests = [
                (i, s, *key, f, 2400.0, 9.0, 8, 0.4, float(psi[a, b, c]), 0.05)
                for a, i in enumerate(some)
                for b, s in enumerate(hours)
                for c, f in enumerate(features)
            ]
            put(connection, t.drift, tests)
            worst = [
                (i, s, 2400.0, 0.4, float(psi[a, b].max())) for a, i in enumerate(some) for b, s in enumerate(hours)
            ]
            put(connection, t.drift_period, worst)
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--devices", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--keep", type=Path, metavar="DIR", help="where the store is made, or is already")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = (args.keep or Path(folder)) / "fleet.db"
        is_new = not path.exists()
        engine = open_store(f"sqlite:///{path}")
        if is_new:
            for table, rows in fill(engine, args.devices).items():
                print(f"{table:14s} {rows:12,d} rows")
        print(f"store          {path.stat().st_size / 1e6:12,.0f} MB")
        client = TestClient(make_app(engine, period_s=HOUR_S, clock=lambda: NOW_S))
        headers = {"authorization": f"Bearer {TOKEN}"}
        paths = ("/", "/device/plant/device-00007", "/models", "/metrics", "/api/v1/overview", "/api/v1/books")
        paths = (*paths, "/api/v1/devices", "/api/v1/devices?offset=9000&state=online", "/api/v1/drift")
        for page in paths:
            times = []
            for _ in range(args.rounds):
                began = time.perf_counter()
                answer = client.get(page, headers=headers)
                times.append(1e3 * (time.perf_counter() - began))
                assert answer.status_code == 200
            print(
                f"{page:44s} {statistics.median(times):8.1f} ms (first {times[0]:.1f}), {len(answer.content):,} bytes"
            )


if __name__ == "__main__":
    main()
