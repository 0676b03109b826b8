# SPDX-License-Identifier: Apache-2.0
"""The dashboard's overview as one file that needs no server: style inside, no scripts, no links that lead nowhere."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final

from edgeml.errors import FleetError

if TYPE_CHECKING:
    from pathlib import Path

    from edgeml.demo.fleet import Fleet

STYLE: Final = re.compile(r'<link rel="stylesheet" href="(/static/[^"]+)">')
SCRIPT: Final = re.compile(r"<script\b[^>]*>.*?</script>\s*", re.DOTALL)
LINK_TO_SERVER: Final = re.compile(r'(<a\b[^>]*?)\shref="/[^"]*"')


def write_snapshot(fleet: Fleet, path: Path) -> None:
    """Write the overview of a running fleet to `path`, whole or not at all.

    Raises:
        FleetError: the fleet does not answer, or the file cannot be written.
    """
    page = STYLE.sub(lambda match: f"<style>\n{fleet.get(match[1])}\n</style>", fleet.get("/"))
    page = LINK_TO_SERVER.sub(r"\1", SCRIPT.sub("", page))
    partial = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with partial.open("w", encoding="utf-8") as file:
            file.write(page)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        raise FleetError(f"the dashboard's page cannot be written to {path}: {error.strerror}") from error
    finally:
        partial.unlink(missing_ok=True)
