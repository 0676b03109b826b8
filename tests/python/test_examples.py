# SPDX-License-Identifier: Apache-2.0
"""The examples run as they are printed and say what README.md promises."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("sklearn", reason="needs edgeml[demo]")

from support.child import ENVIRONMENT

EXAMPLES = Path(__file__).parents[2] / "examples"
CLOSED_PORT = "mqtt://127.0.0.1:9"  # discard: nobody listens there


def said(folder: Path, name: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, EXAMPLES / name, *arguments],
        cwd=folder,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert list(folder.iterdir()) == []
    return done.stdout


def test_every_example_is_tested() -> None:
    assert {path.name for path in EXAMPLES.glob("*.py")} == {"convert_and_run.py", "monitor.py"}


def test_convert_and_run_reads_digits(tmp_path: Path) -> None:
    text = said(tmp_path, "convert_and_run.py")
    share = re.search(r"([0-9.]+)% of 359 digits", text)
    assert share is not None, text
    assert float(share[1]) >= 98


def test_monitor_keeps_its_report_while_no_fleet_listens(tmp_path: Path) -> None:
    text = said(tmp_path, "monitor.py", CLOSED_PORT)
    assert "359 inferences in 1 window, epsilon 1 of 8 spent today" in text
    assert "1 window waits for the fleet" in text
