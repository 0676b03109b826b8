# SPDX-License-Identifier: Apache-2.0
"""What a test needs from the machine: a program, or a file of `../shared` beside the repository.

A missing program skips the test with the reason; with CI=true it fails it, because CI must leave nothing out.
`../shared` is never part of the repository, so its absence only ever skips.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Final

import pytest

REPOSITORY: Final = Path(__file__).resolve().parents[3]
SHARED: Final = REPOSITORY.parent / "shared"
SYSTEM_FOLDERS: Final = ("/usr/sbin", "/usr/local/sbin", "/sbin")  # where Debian puts daemons, often not on PATH


def is_ci() -> bool:
    """True where leaving a test out is a failure."""
    return os.environ.get("CI", "").lower() in {"1", "true"}


def find_program(name: str) -> str | None:
    """Absolute path of a program on PATH or in the system's folders for daemons; None if it is not installed."""
    return shutil.which(name) or shutil.which(name, path=os.pathsep.join(SYSTEM_FOLDERS))


def need_program(*names: str) -> str:
    """Absolute path of the first of these programs that is installed; skips the test (CI: fails it) if none is."""
    for name in names:
        path = find_program(name)
        if path is not None:
            return path
    reason = f"needs the program {' or '.join(names)}; on Debian tools/test installs it when run as root"
    if is_ci():
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def need_shared(relative: str) -> Path:
    """Path of a file or folder under `../shared`; skips the test if it is absent."""
    path = SHARED / relative
    if not path.exists():
        pytest.skip(f"needs ../shared/{relative}, which this machine does not have")
    return path
