# SPDX-License-Identifier: Apache-2.0
"""Measures one model: a process per runtime and variant, all loaded, which take turns on the same cores in short rounds."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from bench.peers.environments import REPOSITORY, Environment
from bench.peers.models import Source

ROUND_S: Final = 0.04
ANSWER_S_MAX: Final = 600
BASE: Final = "onnxruntime float32"  # outputs are compared with its outputs


class Process:
    """A worker and the pipe to it."""

    def __init__(self, environment: Environment, runtime: str, variables: Mapping[str, str]) -> None:
        words: list[str | Path] = [environment.python, "-m", "bench.peers.worker", runtime]
        self._child = subprocess.Popen(
            words,
            cwd=REPOSITORY,
            env={**os.environ, "PYTHONPATH": "", **variables},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def ask(self, do: str, **request: Any) -> dict[str, Any]:
        """Send one request and wait for its reply; a process that ends instead has the reply {error}."""
        assert self._child.stdin
        assert self._child.stdout
        try:
            self._child.stdin.write(json.dumps({"do": do, **request}) + "\n")
            self._child.stdin.flush()
            line = self._child.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            return {"error": f"the process ended with {self._child.wait()} in {do}"}
        return dict(json.loads(line))

    def end(self) -> None:
        assert self._child.stdin
        with contextlib.suppress(BrokenPipeError):
            self._child.stdin.close()
        try:
            self._child.wait(10)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()


@dataclass(frozen=True)
class Contender:
    """One line of a model's result: what runs, in which environment, on which file, or why there is no file."""

    runtime: str
    variant: str
    environment: Environment | None
    file: Path
    error: str
    variables: Mapping[str, str]

    @property
    def label(self) -> str:
        return f"{self.runtime} {self.variant}"


def measure(contenders: list[Contender], source: Source, *, threads: int, seconds: float) -> dict[str, Any]:
    """Times of every contender that runs, {label: figures or {error}}."""
    results: dict[str, Any] = {c.label: {"error": c.error} for c in contenders if c.error}
    cpus = sorted(os.sched_getaffinity(0))[-threads:]
    running: dict[str, Process] = {}
    times: dict[str, list[float]] = {}
    with contextlib.ExitStack() as stack, tempfile.TemporaryDirectory() as folder:
        for c in contenders:
            if c.error or c.environment is None:
                continue
            process = Process(c.environment, c.runtime, c.variables)
            stack.callback(process.end)
            reply = process.ask("load", file=str(c.file), threads=threads, cpus=cpus, input=str(source.input))
            results[c.label] = reply
            if "error" not in reply:
                running[c.label], times[c.label] = process, []
                process.ask("output", file=f"{folder}/{c.label}.npz")
        for _ in range(max(1, round(seconds / ROUND_S))):
            for label, process in list(running.items()):
                reply = process.ask("run", seconds=ROUND_S)
                if "error" in reply:
                    results[label] = reply
                    del running[label]
                else:
                    times[label] += reply["times_s"]
        for label in running:
            ms = 1e3 * np.array(times[label])
            results[label] |= {
                "median_ms": float(np.median(ms)),
                "p99_ms": float(np.percentile(ms, 99)),
                "runs": len(ms),
            }
        for label, correlation in correlations(Path(folder)):
            results[label]["correlation"] = correlation
    return results


def correlations(folder: Path) -> Iterator[tuple[str, float]]:
    """How far each contender's first output goes with that of ONNX Runtime in float: a guard against measuring another network.

    Only of vectors; outputs with more dimensions come in the layout of each runtime.
    """
    base = folder / f"{BASE}.npz"
    if not base.exists():
        return
    with np.load(base) as data:
        expected = data["arr_0"]
    if np.squeeze(expected).ndim != 1:
        return
    for file in sorted(folder.glob("*.npz")):
        with np.load(file) as data:
            actual = data["arr_0"].reshape(-1).astype(np.float64)
        if actual.size == expected.size and actual.std() > 0:
            yield file.stem, float(np.corrcoef(actual, expected.reshape(-1))[0, 1])
