# SPDX-License-Identifier: Apache-2.0
"""The same artifact gives the same bytes of output on every ISA, thread count and CPU, today and as recorded.

The artifacts of tests/golden must match their recorded output hash everywhere. The real models of ../shared are converted
here, and calibration runs the float model in onnxruntime, whose last bits depend on the CPU: they must agree across
instruction sets always, and match the recorded hash where conversion gave the recorded artifact (ADR 0006).
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from edgeml import _core
from support import golden
from support.golden import GoldenCase, Run
from support.needs import REPOSITORY, need_program, need_shared

THREADS = (1, 2)
ARM_CPUS = {"cortex-a53": "neon", "cortex-a76": "neondot", "max": "neoni8mm"}  # QEMU's CPU -> the level it must choose
LACKING = 3  # exit code of tools/aarch64-python on a machine that has not what it needs


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> list[GoldenCase]:
    return golden.own_cases(tmp_path_factory.mktemp("own"))


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> list[GoldenCase]:
    for name in golden.SHARED_MODELS:
        need_shared(f"models/{name}.onnx")
    return golden.shared_cases(tmp_path_factory.mktemp("real"))


@pytest.fixture(scope="module")
def real_ref(real: list[GoldenCase], tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The real models on the kernels that define the result."""
    return golden.run_cases(real, tmp_path_factory.mktemp("ref") / "out", EDGEML_ISA="ref", EDGEML_THREADS="1")


@pytest.fixture(scope="module")
def aarch64_python() -> tuple[str, str]:
    """The command that runs Python programs on emulated 64-bit ARM."""
    need_program("qemu-aarch64")
    need_program("aarch64-linux-gnu-g++")
    tool = (sys.executable, str(REPOSITORY / "tools" / "aarch64-python"))
    prepared = subprocess.run(tool, stderr=subprocess.PIPE, text=True, check=False)
    if prepared.returncode == LACKING:
        pytest.skip(prepared.stderr.strip())
    assert prepared.returncode == 0, prepared.stderr
    return tool


def recorded_outputs(cases: list[GoldenCase]) -> dict[str, str]:
    return {case.name: golden.recorded()[case.name]["output_sha256"] for case in cases}


def test_committed_artifacts_are_the_recorded_ones(own: list[GoldenCase]) -> None:
    assert {c.name: c.artifact_sha256 for c in own} == {
        c.name: golden.recorded()[c.name]["artifact_sha256"] for c in own
    }


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("isa", _core.ISAS)
def test_committed_artifacts_give_the_recorded_output(
    own: list[GoldenCase], tmp_path: Path, isa: str, threads: int
) -> None:
    run = golden.run_cases(own, tmp_path / "out", EDGEML_ISA=isa, EDGEML_THREADS=str(threads))
    assert (run.isas, run.threads) == ({isa}, {threads})
    assert run.outputs == recorded_outputs(own)


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("isa", _core.ISAS)
def test_real_models_give_the_output_of_ref(
    real: list[GoldenCase], real_ref: Run, tmp_path: Path, isa: str, threads: int
) -> None:
    run = golden.run_cases(real, tmp_path / "out", EDGEML_ISA=isa, EDGEML_THREADS=str(threads))
    assert (run.isas, run.threads) == ({isa}, {threads})
    assert run.outputs == real_ref.outputs


def test_real_models_give_the_recorded_output(real: list[GoldenCase], real_ref: Run) -> None:
    same = [c for c in real if c.artifact_sha256 == golden.recorded()[c.name]["artifact_sha256"]]
    assert {case.name: real_ref.outputs[case.name] for case in same} == recorded_outputs(same)
    other = ", ".join(case.name for case in real if case not in same)
    if not other:
        return
    here, there = golden.calibration_machine(), golden.recorded_calibration_machine()
    assert here != there, f"conversion changed for {other}: if that is meant, run tools/make_golden_hashes.py"
    pytest.skip(
        f"calibration on {here} gave other artifacts than on {there}, so there is no recorded output of {other}"
    )


@pytest.mark.parametrize("cpu", ARM_CPUS)
def test_emulated_arm_gives_the_same_output(
    own: list[GoldenCase],
    real: list[GoldenCase],
    real_ref: Run,
    aarch64_python: tuple[str, str],
    tmp_path: Path,
    cpu: str,
) -> None:
    run = golden.run_cases([*own, *real], tmp_path / "out", *aarch64_python, "--cpu", cpu)
    assert run.isas == {ARM_CPUS[cpu]}
    assert run.outputs == {**recorded_outputs(own), **real_ref.outputs}
