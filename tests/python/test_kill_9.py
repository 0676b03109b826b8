# SPDX-License-Identifier: Apache-2.0
"""SIGKILL at every write, fsync, truncation, rename and removal of spool and ledger; tests/nightly has more of the same."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from support.write_faults import build, environment

LIVES_KILLED = 220


@pytest.mark.needs_program("cc")
def test_kill_9_at_every_write_loses_doubles_and_refunds_nothing(tmp_path: Path) -> None:
    """The harness checks after each kill (support/kill_points.py); here: that it ran, and that its kills hit."""
    command = [sys.executable, "-m", "support.kill_points", str(tmp_path / "state"), str(LIVES_KILLED), "1"]
    done = subprocess.run(
        command, env=environment(build(tmp_path)), capture_output=True, text=True, timeout=900, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]
    result = json.loads(done.stdout)
    assert result["lives"]["kills"] >= LIVES_KILLED
    assert result["lives"]["calls_max"] >= 60, "a life has many writes, and each was a kill point"
    assert result["lives"]["produced"] > 100
    assert result["repairs"]["kills"] >= 100
