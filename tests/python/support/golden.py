# SPDX-License-Identifier: Apache-2.0
"""Artifacts with fixed inputs, and the SHA-256 of what `edgeml run` writes for them (docs/adr/0006-golden-hashes.md)."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Final

import numpy as np

import edgeml
from edgeml.artifact import Artifact
from edgeml.convert import ConvertOptions
from prepare_assets import ASSETS, SHARED, prepare
from support.needs import REPOSITORY

GOLDEN: Final = REPOSITORY / "tests" / "golden"
HASHES: Final = GOLDEN / "output_hashes.json"
RUNNER: Final = Path(__file__).with_name("run_artifacts.py")
OWN_ARTIFACTS: Final = ("every_operator", "sparse_layers", "digits")  # committed as tests/golden/NAME.edgeml
SHARED_MODELS: Final = tuple(asset.model for asset in ASSETS)
SAMPLES: Final = 3  # of a real model's test file: an emulated CPU has to run them too


@dataclass(frozen=True, kw_only=True)
class GoldenCase:
    """An artifact, and an .npz of inputs for it."""

    name: str
    artifact: Path
    inputs: Path

    @property
    def artifact_sha256(self) -> str:
        """Hex."""
        return sha256(self.artifact)


def sha256(path: Path) -> str:
    """Hex hash of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def recorded() -> dict[str, dict[str, str]]:
    """The committed hashes: case -> artifact_sha256, output_sha256."""
    hashes: dict[str, dict[str, str]] = json.loads(HASHES.read_text())["cases"]
    return hashes


def recorded_calibration_machine() -> dict[str, str]:
    """What calibration_machine() was where the hashes were recorded."""
    machine: dict[str, str] = json.loads(HASHES.read_text())["calibration_machine"]
    return machine


def calibration_machine() -> dict[str, str]:
    """What the last bits of calibration depend on: the CPU and the versions of what computes there."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    wanted = ("vendor_id", "cpu family", "model", "CPU implementer", "CPU part")
    cpu = dict(line.replace("\t", "").split(": ", 1) for line in lines if line.split("\t")[0] in wanted)
    return {**cpu, **{name: metadata.version(name) for name in ("numpy", "onnxruntime")}}


def pattern(shape: Sequence[int]) -> np.ndarray:
    """Float32 values in [-4, 4] that need no generator: the same on every machine and numpy."""
    count = int(np.prod(shape))
    return ((np.arange(count, dtype=np.int64) * 7919 + 13) % 4001 - 2000).reshape(shape).astype(np.float32) / 500


def own_cases(folder: Path) -> list[GoldenCase]:
    """The committed artifacts; inputs are written to the folder."""
    cases = []
    for name in OWN_ARTIFACTS:
        artifact = GOLDEN / f"{name}.edgeml"
        graph = Artifact.load(artifact).graph
        shapes = {graph.tensors[i].name: graph.tensors[i].dims for i in graph.inputs}
        np.savez(folder / f"{name}.npz", **{n: pattern((SAMPLES, *shape[1:])) for n, shape in shapes.items()})
        cases.append(GoldenCase(name=name, artifact=artifact, inputs=folder / f"{name}.npz"))
    return cases


def shared_cases(folder: Path) -> list[GoldenCase]:
    """The real models of ../shared, converted into the folder with default options."""
    cases = []
    for asset in ASSETS:
        calibration, test = prepare(asset, folder)
        artifact = folder / f"{asset.model}.edgeml"
        options = ConvertOptions(
            preset="fast"
        )  # what is golden is the arithmetic; the artifacts have the same operators
        edgeml.convert(SHARED / "models" / f"{asset.model}.onnx", calibration=calibration, options=options).save(
            artifact
        )
        inputs = folder / f"{asset.model}.npz"
        with np.load(test) as arrays:
            np.savez(inputs, x=arrays["x"][:SAMPLES])
        cases.append(GoldenCase(name=asset.model, artifact=artifact, inputs=inputs))
    return cases


@dataclass(frozen=True, kw_only=True)
class Run:
    """What one process of `edgeml run` over several cases gave."""

    outputs: dict[str, str]  # case -> SHA-256 of its output file
    isas: set[str]  # levels that the sessions ran
    threads: set[int]


def run_cases(cases: Sequence[GoldenCase], folder: Path, *launcher: str, **environment: str) -> Run:
    """`edgeml run` on every case, in one process; the folder is made.

    launcher: what runs a Python program, this interpreter by default. environment: added to that of the process.
    """
    folder.mkdir()
    outputs = {case.name: folder / f"{case.name}.npz" for case in cases}
    jobs = [{"artifact": str(c.artifact), "input": str(c.inputs), "output": str(outputs[c.name])} for c in cases]
    (folder / "jobs.json").write_text(json.dumps(jobs))
    words = [*(launcher or (sys.executable,)), str(RUNNER), str(folder / "jobs.json")]
    done = subprocess.run(words, env={**os.environ, **environment}, check=True, stdout=subprocess.PIPE, text=True)
    reports = [json.loads(line) for line in done.stdout.splitlines()]
    return Run(
        outputs={name: sha256(path) for name, path in outputs.items()},
        isas={report["isa"] for report in reports},
        threads={report["threads"] for report in reports},
    )
