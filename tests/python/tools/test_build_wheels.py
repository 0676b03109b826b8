# SPDX-License-Identifier: Apache-2.0
"""The wheel for ARM: built here, installed by pip into a real aarch64 Python, tested there under QEMU."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from support.needs import REPOSITORY, need_program

PYTHON = "3.11"  # of the emulated interpreter
LACKING = 3  # exit code of tools/aarch64-python on a machine that has not what it needs
# Tests that start no process: there is no way to start one under user-mode emulation.
TESTS = (
    *("artifact/test_artifact.py", "artifact/test_block_sparse.py", "artifact/test_reader.py", "observe"),
    *("telemetry/test_codec.py", "telemetry/test_envelope.py", "telemetry/test_spool.py", "test_session.py"),
)


@pytest.fixture(scope="module")
def build_wheels() -> ModuleType:
    loader = importlib.machinery.SourceFileLoader("build_wheels", str(REPOSITORY / "tools" / "build-wheels"))
    spec = importlib.util.spec_from_loader("build_wheels", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def wheel(build_wheels: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    need_program("qemu-aarch64")
    folder = tmp_path_factory.mktemp("wheels")
    assert build_wheels.main(["--arch", "aarch64", "--python", PYTHON, "--output", str(folder)]) == 0
    (built,) = folder.glob("*.whl")
    return built


def test_it_installs_and_passes_its_tests_on_emulated_arm(wheel: Path) -> None:
    assert wheel.name.endswith("-cp311-cp311-manylinux_2_28_aarch64.whl")
    run = subprocess.run(
        [
            *(sys.executable, REPOSITORY / "tools" / "aarch64-python", "--wheel", wheel),
            *("--with", "pytest", "--with", "hypothesis"),
            *("--cpu", "max", "--", "-m", "pytest", "-p", "no:cacheprovider", "-k", "not import_loads_numpy"),
            *(f"tests/python/{name}" for name in TESTS),
        ],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode == LACKING:
        pytest.skip(run.stderr.strip())
    assert run.returncode == 0, run.stdout + run.stderr


def test_a_wheel_that_needs_a_foreign_library_is_refused(build_wheels: ModuleType, tmp_path: Path) -> None:
    """The host's own compiler links the C++ library of the host."""
    need_program("g++")
    (tmp_path / "m.cpp").write_text(
        '#include <string>\nextern "C" unsigned long f(char *s) { return std::string(s).find("x"); }\n'
    )
    subprocess.run(["g++", "-shared", "-fPIC", "m.cpp", "-o", "_core.so"], cwd=tmp_path, check=True)
    wheel = tmp_path / "edgeml-0-py3-none-any.whl"
    with build_wheels.zipfile.ZipFile(wheel, "w") as archive:
        archive.write(tmp_path / "_core.so", "edgeml/_core.so")
    with pytest.raises(build_wheels.WheelError, match=r"needs libstdc\+\+\.so\.6"):
        build_wheels.check(wheel, "x86_64")
    with pytest.raises(build_wheels.WheelError, match="not built for aarch64"):
        build_wheels.check(wheel, "aarch64")
