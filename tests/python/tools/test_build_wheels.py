# SPDX-License-Identifier: Apache-2.0
"""What a wheel must keep before it gets its manylinux tag."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import subprocess
from pathlib import Path
from types import ModuleType

import pytest

from support.needs import REPOSITORY, need_program


@pytest.fixture(scope="module")
def build_wheels() -> ModuleType:
    loader = importlib.machinery.SourceFileLoader("build_wheels", str(REPOSITORY / "tools" / "build-wheels"))
    spec = importlib.util.spec_from_loader("build_wheels", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


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
    with pytest.raises(build_wheels.WheelError, match=r"needs .*libstdc\+\+\.so\.6"):
        build_wheels.check(wheel, "x86_64")
    with pytest.raises(build_wheels.WheelError, match="not built for aarch64"):
        build_wheels.check(wheel, "aarch64")
