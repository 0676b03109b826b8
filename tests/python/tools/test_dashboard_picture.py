# SPDX-License-Identifier: Apache-2.0
"""tools/dashboard_picture.py: one PNG with a page at both widths, and the size limit of the committed one."""

from __future__ import annotations

import struct
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[3]
TOOL = REPOSITORY / "tools" / "dashboard_picture.py"


def size_of_png(path: Path) -> tuple[int, int]:
    data = path.read_bytes()
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", data[16:24])
    return width, height


@pytest.mark.needs_program("chromium", "chromium-browser", "google-chrome")
def test_picture_has_both_widths_beside_each_other(tmp_path: Path) -> None:
    page, picture = tmp_path / "page.html", tmp_path / "new" / "picture.png"
    page.write_text("<!doctype html><title>page</title><p>hello")
    subprocess.run([sys.executable, TOOL, page, "-o", picture], check=True, timeout=120)
    assert size_of_png(picture) == (1180 + 390 + 3 * 24, 1000 + 2 * 24)


def test_committed_picture_is_small_enough_for_a_readme() -> None:
    picture = REPOSITORY / "docs" / "images" / "dashboard.png"
    assert picture.stat().st_size <= 300_000
    assert size_of_png(picture)[0] > 1500
