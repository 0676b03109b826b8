# SPDX-License-Identifier: Apache-2.0
"""A headless Chromium that visits one page: its DOM, or a picture of it."""

from __future__ import annotations

import subprocess
from pathlib import Path

from support.needs import need_program

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def dump_dom(url: str, folder: Path) -> str:
    """HTML of a page after its scripts ran. Skips the test where Chromium is not installed."""
    return _visit(url, folder, "--dump-dom").stdout


def screenshot(url: str, folder: Path, *, width: int, height: int) -> Path:
    """PNG of a page at a window size."""
    path = folder / f"{width}x{height}.png"
    _visit(url, folder, f"--screenshot={path}", f"--window-size={width},{height}")
    return path


def _visit(url: str, folder: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    program = need_program("chromium", "chromium-browser", "google-chrome")
    profile = f"--user-data-dir={folder / 'chromium'}"
    return subprocess.run(
        [program, *FLAGS, profile, *flags, url], capture_output=True, text=True, timeout=60, check=True
    )
