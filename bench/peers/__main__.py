# SPDX-License-Identifier: Apache-2.0
"""Measure whole models against other runtimes, and write table, JSON and picture.

python -m bench.peers                                         everything
python -m bench.peers --models resnet8 kws --runtimes edgeml litert --threads 1 --quick
python -m bench.peers --prepare                               make environments and files, measure nothing
python -m bench.peers --report                                measure nothing, write what is measured to bench/

Run it from the root of the repository with edgeml[test] installed. Environments, files and measurements are kept in the
cache folder; a run replaces the measurements of the models and thread counts that it takes. `--report` also replaces the
table of bench/README.md, bench/peers.json and docs/images/peers.svg.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

from bench.peers import environments, models, report
from bench.peers.environments import REPOSITORY, Environment
from bench.peers.measure import Contender, Process, measure
from bench.peers.models import Source
from bench.peers.runtimes import RUNTIMES

CACHE: Final = REPOSITORY / "build" / "peers"
SECONDS: Final = 0.6
SECONDS_QUICK: Final = 0.2


def say(*words: object) -> None:
    print(*words, file=sys.stderr, flush=True)


def prepare(runtime: str, name: str, source: Source, cache: Path) -> list[Contender]:
    """Make the runtime's files of a model; what was made or failed before with the same packages is taken as it is."""
    module = importlib.import_module(f"bench.peers.runtimes.{runtime}")
    folder = cache / "models" / name
    tools = environments.make(cache, runtime, tools=True)
    running = environments.make(cache, runtime, tools=False)
    made = []
    for variant in module.VARIANTS:
        file = folder / f"{runtime}.{variant}{SUFFIXES.get(runtime, '')}"
        record = folder / f"{runtime}.{variant}.prepared.json"
        known = json.loads(record.read_text()) if record.exists() else {}
        if known.get("stamp") != tools.stamp:
            reply = make_file(runtime, variant, source, file, tools)
            known = {"stamp": tools.stamp, "error": reply.get("error", "")}
            record.write_text(json.dumps(known))
            say(f"  {runtime} {variant}: {known['error'] or 'made'}")
        made.append(Contender(runtime, variant, running, file, known["error"], {}))
    return made


SUFFIXES: Final = {
    "edgeml": ".edgeml",
    "onnxruntime": ".onnx",
    "openvino": ".xml",
    "litert": ".tflite",
    "mnn": ".mnn",
}  # ncnn's is a folder


def make_file(runtime: str, variant: str, source: Source, file: Path, tools: Environment) -> dict[str, Any]:
    """Let the runtime's second environment make one file."""
    process = Process(tools, runtime, {"CUDA_VISIBLE_DEVICES": ""})
    paths = {
        "model": source.model,
        "calibration": source.calibration,
        "file": file,
        "onnxruntime_int8": file.with_name("onnxruntime.int8.onnx"),
        "reference_int8": source.reference_int8,
    }
    try:
        return process.ask("prepare", variant=variant, **{key: str(path) for key, path in paths.items()})
    finally:
        process.end()


def avx2_contenders(contenders: list[Contender]) -> list[Contender]:
    """Those that can be kept from using more than AVX2, and so kept; the others as what they are, with the reason."""
    limited = []
    for c in contenders:
        variables = importlib.import_module(f"bench.peers.runtimes.{c.runtime}").AVX2
        error = c.error or ("" if variables else "it has no switch that limits it to AVX2")
        limited.append(Contender(c.runtime, c.variant, c.environment, c.file, error, variables or {}))
    return limited


def machine() -> dict[str, Any]:
    """What the figures belong to."""
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    return {
        "cpu": cpu[1] if cpu else platform.processor(),
        "cpus": len(os.sched_getaffinity(0)),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "edgeml_commit": commit.stdout.strip(),
        "date": time.strftime("%Y-%m-%d"),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--models", nargs="+", default=[], metavar="WORD", help="only models whose name has one of these words"
    )
    parser.add_argument("--runtimes", nargs="+", default=RUNTIMES, choices=RUNTIMES)
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--avx2", action="store_true", help="only runtimes that can be limited to AVX2, and limited so")
    parser.add_argument("--quick", action="store_true", help=f"{SECONDS_QUICK} s per contender instead of {SECONDS} s")
    parser.add_argument("--prepare", action="store_true", help="measure nothing")
    parser.add_argument("--report", action="store_true", help="write table, JSON and picture of all that is measured")
    parser.add_argument("--cache", type=Path, default=CACHE)
    arguments = parser.parse_args()
    cache = arguments.cache.resolve()
    results = cache / "results"
    results.mkdir(parents=True, exist_ok=True)
    if not (arguments.report and not arguments.models):
        for name in models.names():
            if not arguments.models or any(word in name for word in arguments.models):
                one_model(name, arguments, cache, results)
    if arguments.report:
        report.write(results)
    return 0


def one_model(name: str, arguments: argparse.Namespace, cache: Path, results: Path) -> None:
    """Prepare and measure one model."""
    say(name)
    source = models.source(name, cache / "models" / name)
    contenders = [c for runtime in arguments.runtimes for c in prepare(runtime, name, source, cache)]
    if arguments.prepare:
        return
    mode = "avx2" if arguments.avx2 else "best"
    if arguments.avx2:
        contenders = avx2_contenders(contenders)
    for threads in arguments.threads:
        seconds = SECONDS_QUICK if arguments.quick else SECONDS
        figures = measure(contenders, source, threads=threads, seconds=seconds)
        used = {c.runtime: c.environment for c in contenders if c.environment}
        document = {
            "model": name,
            "threads": threads,
            "isa": mode,
            "machine": machine(),
            "runtimes": {runtime: environments.describe(environment, runtime) for runtime, environment in used.items()},
            "figures": figures,
        }
        (results / f"{name}.{threads}.{mode}.json").write_text(json.dumps(document, indent=1) + "\n")
        for label, one in sorted(figures.items(), key=lambda item: item[1].get("median_ms", 1e9)):
            say(f"  {threads} {label:26} " + (f"{one['median_ms']:9.4f} ms" if "median_ms" in one else one["error"]))


if __name__ == "__main__":
    sys.exit(main())
