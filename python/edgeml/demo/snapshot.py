# SPDX-License-Identifier: Apache-2.0
"""The dashboard's overview as one file that needs no server: style inside, no scripts, no links that lead nowhere."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from edgeml.demo.fleet import Fleet

STYLE: Final = re.compile(r'<link rel="stylesheet" href="(/static/[^"]+)">')
SCRIPT: Final = re.compile(r"<script\b[^>]*>.*?</script>\s*", re.DOTALL)
LINK_TO_SERVER: Final = re.compile(r'(<a\b[^>]*?)\shref="/[^"]*"')


def write_snapshot(fleet: Fleet, path: Path) -> None:
    """Write the overview of a running fleet to `path`, whole or not at all.

    Raises:
        OSError: the file cannot be written.
    """
    page = STYLE.sub(lambda match: f"<style>\n{fleet.get(match[1])}\n</style>", fleet.get("/"))
    page = LINK_TO_SERVER.sub(r"\1", SCRIPT.sub("", page))
    with tempfile.NamedTemporaryFile("w", dir=path.parent, suffix=".part", encoding="utf-8", delete=False) as file:
        try:
            file.write(page)
            file.flush()
            os.fsync(file.fileno())
            Path(file.name).chmod(0o644)
            Path(file.name).replace(path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise
