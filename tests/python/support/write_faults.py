# SPDX-License-Identifier: Apache-2.0
"""write_faults.c from Python: builds it, starts processes with it, and arms it inside of them."""

from __future__ import annotations

import ctypes
import os
import subprocess
from pathlib import Path

from support.child import ENVIRONMENT
from support.needs import need_program

SOURCE = Path(__file__).with_name("write_faults.c")
TESTS = Path(__file__).parents[1]


def build(folder: Path) -> Path:
    """Compile the library into a folder; skips the test where there is no C compiler."""
    folder.mkdir(parents=True, exist_ok=True)
    library = folder / "write_faults.so"
    compiler = need_program("cc", "gcc", "clang")
    flags = ("-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC")
    subprocess.run([compiler, *flags, "-o", str(library), str(SOURCE), "-ldl"], check=True)
    return library


def environment(library: Path) -> dict[str, str]:
    """Environment of a process that is to be armed; it can import `support` and the edgeml under test."""
    paths = os.pathsep.join((ENVIRONMENT["PYTHONPATH"], str(TESTS)))
    return {**ENVIRONMENT, "LD_PRELOAD": str(library), "PYTHONPATH": paths}


class WriteFaults:
    """The library in this process, which was started with it."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(None)
        for name in ("bytes", "blocks"):
            getattr(self._library, f"write_faults_{name}").restype = ctypes.c_longlong
        self._library.write_faults_calls.restype = ctypes.c_long
        self._library.write_faults_arm.argtypes = [ctypes.c_long, ctypes.c_int]
        self._library.write_faults_fail.argtypes = [ctypes.c_long, ctypes.c_int]

    def kill_at(self, call: int, *, torn: bool = False) -> None:
        """Die by SIGKILL before this call, counted from 1 from now on; `torn`: after half of what it writes."""
        self._library.write_faults_arm(call, int(torn))

    def fail_from(self, call: int, error: int) -> None:
        """Let this call and all later ones fail with an errno; -1: none any more."""
        self._library.write_faults_fail(call, error)

    @property
    def calls(self) -> int:
        return int(self._library.write_faults_calls())

    @property
    def bytes_written(self) -> int:
        return int(self._library.write_faults_bytes())

    @property
    def blocks_written(self) -> int:
        return int(self._library.write_faults_blocks())
