# SPDX-License-Identifier: Apache-2.0
"""The files of the repository, as git sees them."""

from __future__ import annotations

import functools
import subprocess
from pathlib import Path
from typing import Final

REPOSITORY: Final = Path(__file__).resolve().parents[2]


@functools.cache
def files() -> tuple[str, ...]:
    """Paths of all files that are committed or would be, relative to the repository."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    return tuple(sorted(path for path in listing.stdout.splitlines() if (REPOSITORY / path).exists()))


def files_under(folder: str, *endings: str) -> list[str]:
    """Paths in a folder that end with one of the given endings."""
    return [path for path in files() if path.startswith(f"{folder}/") and path.endswith(endings)]


def text(path: str) -> str:
    """The text of a file of the repository."""
    return (REPOSITORY / path).read_text(encoding="utf-8")
