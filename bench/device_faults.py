# SPDX-License-Identifier: Apache-2.0
"""What a device's reporting costs: p50 and p99 of an inference with faults beside none, bytes of a day on flash and wire.

PYTHONPATH=python:tests/python python bench/device_faults.py [--rounds 5]

Windows end every 100 ms instead of every 5 minutes, so that a fault meets many inferences. All conditions are measured in
one process, round by round; a ratio is that of medians. The day is one of 288 windows with 342 slots over TLS, counted by
a preloaded library and a TCP relay.
"""

from __future__ import annotations

import argparse
import errno
import json
import logging
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np

from edgeml import InferenceSession
from edgeml.device.monitor import Monitor
from edgeml.privacy import PrivacyBudget
from edgeml.telemetry.state_directory import SPOOL_FILE
from support.acking_fleet import AckingFleet
from support.monitored_artifact import INPUT, monitored_artifact
from support.mosquitto import free_port, mosquitto
from support.relay import Relay
from support.small_artifact import INPUT_SHAPE
from support.tls_broker import tls_broker
from support.write_faults import WriteFaults, build, environment

SECONDS = 2.0
WARM_UP_S = 0.3
WINDOW_S = 0.1
BUDGET = PrivacyBudget(epsilon="1000", per_release="0.01")


def measure(folder: Path, port: int, fault: Callable[[Path], None], heal: Callable[[], None]) -> tuple[float, float]:
    """Microseconds of an inference with its counting, p50 and p99, while the fault lasts."""
    x = np.random.default_rng(1).normal(scale=0.3, size=(1, *INPUT_SHAPE)).astype(np.float32)
    session = InferenceSession(monitored_artifact().to_bytes())
    broker = f"mqtt://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory(dir=folder) as state:
        monitor = Monitor(session, state=state, device="d1", broker=broker, budget=BUDGET, window_s=WINDOW_S)
        times = []
        begin = time.perf_counter()
        is_warm = False
        while (now := time.perf_counter()) < begin + WARM_UP_S + SECONDS:
            if not is_warm and now > begin + WARM_UP_S:
                fault(Path(state))
                is_warm = True
                times.clear()
            start = time.perf_counter_ns()
            monitor.run(None, {INPUT: x})
            times.append((time.perf_counter_ns() - start) * 1e-3)
        heal()
        monitor.close(0.0)
    p50, p99 = np.percentile(times, [50, 99])
    return float(p50), float(p99)


def inside(folder: Path, port: int, rounds: int) -> None:
    """The measuring process, which has the library preloaded."""
    logging.disable(logging.CRITICAL)
    faults = WriteFaults()

    def damage(state: Path) -> None:
        path = state / SPOOL_FILE
        path.write_bytes(random.Random(1).randbytes(path.stat().st_size))

    conditions: dict[str, tuple[int, Callable[[Path], None]]] = {
        "none": (port, lambda _: None),
        "no broker": (free_port(), lambda _: None),
        "disk full": (port, lambda _: faults.fail_from(1, errno.ENOSPC)),
        "disk read-only": (port, lambda _: faults.fail_from(1, errno.EROFS)),
        "database damaged": (port, damage),
    }
    seen: dict[str, list[tuple[float, float]]] = {name: [] for name in conditions}
    for _ in range(rounds):
        for name, (where, fault) in conditions.items():
            seen[name].append(measure(folder, where, fault, lambda: faults.fail_from(-1, 0)))
    print(json.dumps(seen))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--inside", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.inside:
        inside(Path(args.inside[0]), int(args.inside[1]), args.rounds)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        library = build(folder)
        with mosquitto(folder) as broker, closing(AckingFleet(broker.port)):
            command = [
                sys.executable,
                __file__,
                "--rounds",
                str(args.rounds),
                "--inside",
                str(folder),
                str(broker.port),
            ]
            done = subprocess.run(command, env=environment(library), stdout=subprocess.PIPE, text=True, check=True)
        seen = json.loads(done.stdout)
        base = {at: statistics.median(one[at] for one in seen["none"]) for at in (0, 1)}
        print("fault             p50 us   p99 us   p50 / none   p99 / none")
        for fault, rounds in seen.items():
            p50, p99 = (statistics.median(one[at] for one in rounds) for at in (0, 1))
            print(f"{fault:16s} {p50:7.1f} {p99:8.1f} {p50 / base[0]:12.3f} {p99 / base[1]:12.3f}")
        day(folder, library)


def day(folder: Path, library: Path) -> None:
    """One day, counted."""
    certificates = folder / "broker"
    certificates.mkdir()
    with (
        tls_broker(certificates, "collector", "gate-7") as broker,
        closing(AckingFleet(broker.port, tls=broker.tls("collector"))),
        closing(Relay(broker.port)) as relay,
    ):
        command = [
            sys.executable,
            "-m",
            "support.device_day",
            str(folder / "state"),
            str(certificates),
            str(relay.port),
        ]
        done = subprocess.run(
            [*command, "288"], env=environment(library), stdout=subprocess.PIPE, text=True, check=True
        )
        written = json.loads(done.stdout)
        print(
            f"flash of a day: {written['bytes']:,} bytes written, {written['blocks']:,} dirty blocks of 4 KiB at fsync"
        )
        print(f"wire of a day, TLS: {relay.bytes_up:,} bytes up, {relay.bytes_down:,} down")


if __name__ == "__main__":
    main()
