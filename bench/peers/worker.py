# SPDX-License-Identifier: Apache-2.0
"""One runtime in a process of its own, which does what it is told: one JSON request a line in, one JSON reply a line out.

    python -m bench.peers.worker RUNTIME

prepare  {model, calibration, variant, file, ...: a Job}     -> {}
load     {file, threads, cpus, input}                       -> {import_ms, load_ms, first_run_ms, rss_bytes, rss_base_bytes}
run      {seconds}                                          -> {times_s}    calls after warm-up; at least `RUNS_MIN`
output   {file}                                             -> {}           the outputs, as .npz
A request that fails is answered with {error}: one sentence.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np

from bench.peers.job import Job

RUNS_MIN: Final = 3
WARM_UP_RUNS: Final = 2


class Worker:
    """The runtime's module and, after `load`, its call."""

    def __init__(self, runtime: str) -> None:
        self._name = runtime
        self._module = importlib.import_module(f"bench.peers.runtimes.{runtime}")
        self._call: Callable[[], list[Any]] = list

    def prepare(self, **paths: str) -> dict[str, Any]:
        variant = paths.pop("variant")
        self._module.prepare(Job(variant=variant, **{name: Path(path) for name, path in paths.items()}))
        return {}

    def load(self, *, file: str, threads: int, cpus: list[int], input: str) -> dict[str, Any]:  # noqa: A002
        with np.load(input) as data:
            feed = dict(data)
        os.sched_setaffinity(0, cpus)  # before the runtime looks how many there are
        base = resident_bytes()
        start = time.perf_counter()
        importlib.import_module(IMPORT_NAMES.get(self._name, self._name))
        imported = time.perf_counter()
        self._call = self._module.load(Path(file), threads, feed)
        loaded = time.perf_counter()
        self._call()
        first = time.perf_counter()
        for _ in range(WARM_UP_RUNS):
            self._call()
        gc.disable()
        return {
            "import_ms": 1e3 * (imported - start),
            "load_ms": 1e3 * (loaded - imported),
            "first_run_ms": 1e3 * (first - loaded),
            "rss_bytes": resident_bytes(),
            "rss_base_bytes": base,
        }

    def run(self, *, seconds: float) -> dict[str, Any]:
        call, clock = self._call, time.perf_counter
        for _ in range(WARM_UP_RUNS):
            call()
        times = []
        end = clock() + seconds
        while True:
            start = clock()
            call()
            now = clock()
            times.append(now - start)
            if now >= end and len(times) >= RUNS_MIN:
                return {"times_s": times}

    def output(self, *, file: str) -> dict[str, Any]:
        np.savez(file, *[np.asarray(array) for array in self._call()])
        return {}


IMPORT_NAMES: Final = {"litert": "ai_edge_litert.interpreter", "mnn": "MNN"}


def resident_bytes() -> int:
    """Resident memory of this process."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return 1024 * int(line.split()[1])
    raise RuntimeError("no VmRSS in /proc/self/status")


def main() -> None:
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a runtime prints does not belong among the replies
    worker = Worker(sys.argv[1])
    for line in sys.stdin:
        request = json.loads(line)
        try:
            reply = getattr(worker, request.pop("do"))(**request)
        except Exception as error:
            words = str(error).strip().splitlines() or [""]
            reply = {"error": f"{type(error).__name__}: {words[0][:300]}"}
        replies.write(json.dumps(reply) + "\n")
        replies.flush()


if __name__ == "__main__":
    main()
