# SPDX-License-Identifier: Apache-2.0
"""Measure an artifact on this machine: latency, load time, multiply-accumulates a second, and where the time goes.

Inputs are random. Latency is that of `session.run` from Python with a batch of one. Peak is what the level's matmul
kernel reaches on data in the L1 cache, measured in the same run, times the threads. Pin the process to a core for
steady figures: taskset -c 0 edgeml bench ...

    edgeml bench mobilenet.edgeml
    edgeml bench mobilenet.edgeml --threads 2 --isa avx2 --json
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from edgeml import _core
from edgeml.errors import UsageError
from edgeml.npz import Array
from edgeml.session import InferenceSession

RUNS_MIN = 30
LAYER_RUNS = 50


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the verb."""
    parser.add_argument("model", metavar="MODEL.edgeml", type=Path)
    parser.add_argument("--threads", type=int, help="threads of one run (default: EDGEML_THREADS, else 1)")
    parser.add_argument("--isa", help="run a lower instruction-set level (default: EDGEML_ISA, else the best)")
    parser.add_argument("--seconds", type=float, default=2.0, help="how long to measure latency (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(args: argparse.Namespace) -> int:
    """Run the verb."""
    if not 0 < args.seconds <= 3600:
        raise UsageError(f"--seconds is {args.seconds}, expected more than 0 and at most 3600")
    start = time.perf_counter()
    session = InferenceSession(args.model, threads=args.threads, isa=args.isa)
    load_ms = (time.perf_counter() - start) * 1e3
    report = measure(session, args.seconds) | {"model": str(args.model), "load_ms": load_ms}
    print(json.dumps(report) if args.json else _text(report))
    return 0


def measure(session: InferenceSession, seconds: float) -> dict[str, Any]:
    """Latency, rates and per-layer times of a session with random inputs."""
    feed = _random_feed(session)
    start = time.perf_counter()
    session.run(None, feed)
    first_run_ms = (time.perf_counter() - start) * 1e3
    latencies = np.array(_latencies(session, feed, seconds))
    layers = session.profile(feed, runs=LAYER_RUNS)
    peak = _core.peak_macs_per_s(session.isa) * session.threads
    macs = sum(layer.macs for layer in layers)
    p50 = float(np.median(latencies))
    layer_ns = max(1, sum(layer.duration_ns for layer in layers))
    return {
        "isa": session.isa,
        "threads": session.threads,
        "runs": len(latencies),
        "first_run_ms": first_run_ms,
        "latency_ms_p50": p50 * 1e3,
        "latency_ms_p99": float(np.percentile(latencies, 99)) * 1e3,
        "macs": macs,
        "gmacs_per_s": macs / p50 / 1e9,
        "peak_gmacs_per_s": peak / 1e9,
        "percent_of_peak": 100 * macs / p50 / peak,
        "layers": [
            {
                "name": layer.name,
                "op": layer.op,
                "output": layer.output_dims,
                "kernel": layer.kernel,
                "macs": layer.macs,
                "us": layer.duration_ns / 1e3,
                "share_percent": 100 * layer.duration_ns / layer_ns,
                "percent_of_peak": 100 * layer.macs / max(layer.duration_ns, 1) / (peak / 1e9),
            }
            for layer in layers
        ],
    }


def _random_feed(session: InferenceSession) -> dict[str, Array]:
    rng = np.random.default_rng()
    feed: dict[str, Array] = {}
    for spec in session.get_inputs():
        shape = [1 if n == "N" else int(n) for n in spec.shape]
        if spec.dtype == np.float32:
            feed[spec.name] = rng.standard_normal(shape, np.float32)
        else:
            feed[spec.name] = rng.integers(-128, 128, shape).astype(spec.dtype)
    return feed


def _latencies(session: InferenceSession, feed: dict[str, Array], seconds: float) -> list[float]:
    latencies: list[float] = []
    warm = time.perf_counter() + seconds / 10
    while time.perf_counter() < warm:
        session.run(None, feed)
    end = time.perf_counter() + seconds
    while len(latencies) < RUNS_MIN or time.perf_counter() < end:
        start = time.perf_counter()
        session.run(None, feed)
        latencies.append(time.perf_counter() - start)
    return latencies


def _text(report: dict[str, Any]) -> str:
    r = report
    lines = [
        f"{r['model']}: {r['isa']}, {r['threads']} thread(s), batch 1",
        f"  latency  p50 {r['latency_ms_p50']:.4g} ms, p99 {r['latency_ms_p99']:.4g} ms ({r['runs']} runs)",
        f"  load     {r['load_ms']:.4g} ms, first run {r['first_run_ms']:.4g} ms",
        f"  rate     {r['gmacs_per_s']:.4g} GMAC/s, {r['percent_of_peak']:.1f} % of {r['peak_gmacs_per_s']:.4g}",
        "",
        f"{'layer':<34} {'operator':<17} {'output':<18} {'us':>9} {'share':>6} {'peak':>6}  kernel",
    ]
    lines += [
        f"{layer['name'][-34:]:<34} {layer['op']:<17} {layer['output']:<18} {layer['us']:>9.1f} "
        f"{layer['share_percent']:>5.1f}% {layer['percent_of_peak']:>5.1f}%  {layer['kernel']}"
        for layer in report["layers"]
    ]
    return "\n".join(lines)
