# SPDX-License-Identifier: Apache-2.0
"""What a call from Python costs over the native core: run() and a bound run against a C++ loop, interleaved, medians.

    taskset -c 1 python bench/call_overhead.py MODEL.edgeml...

Each round times the three in turn, `--runs` calls each; the clock itself (two reads, no work) is measured the same way
and taken off the Python figures. Prints a table in microseconds.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

import edgeml


def time_calls(call: Callable[[], object], runs: int) -> list[int]:
    clock = time.perf_counter_ns
    times = []
    for _ in range(runs):
        start = clock()
        call()
        times.append(clock() - start)
    return times


def nothing() -> None:
    pass


def measure(path: Path, rounds: int, runs: int) -> dict[str, float]:
    session = edgeml.InferenceSession(path, threads=1)
    rng = np.random.default_rng(0)
    feed = {
        s.name: rng.standard_normal([1 if n == "N" else n for n in s.shape]).astype(s.dtype)
        for s in session.get_inputs()
    }
    bound = session.bind(feed)
    times: dict[str, list[int]] = {"core": [], "run": [], "bound": [], "clock": []}
    for _ in range(rounds):
        times["run"] += time_calls(lambda: session.run(None, feed), runs)
        times["bound"] += time_calls(bound, runs)
        times["clock"] += time_calls(nothing, runs)
        times["core"] += session.durations_ns(feed, runs=runs)
    median = {name: float(np.median(values)) / 1e3 for name, values in times.items()}
    return {
        "core": median["core"],
        "run": median["run"] - median["clock"],
        "bound": median["bound"] - median["clock"],
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", metavar="MODEL.edgeml", type=Path, nargs="+")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--runs", type=int, default=500)
    args = parser.parse_args()
    print("| model | core us | run() us | over the core | bound us | over the core |\n|---|---|---|---|---|---|")
    for path in args.models:
        us = measure(path, args.rounds, args.runs)
        print(
            f"| {path.stem} | {us['core']:.2f} | {us['run']:.2f} | {us['run'] - us['core']:+.2f} "
            f"| {us['bound']:.2f} | {us['bound'] - us['core']:+.2f} |"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
