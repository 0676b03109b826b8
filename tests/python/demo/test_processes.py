# SPDX-License-Identifier: Apache-2.0
"""Child processes of the demo: what they say is heard, and however the parent ends, they end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("sklearn", reason="needs edgeml[demo]")

from edgeml.demo.processes import Process, ProcessDiedError

WAIT_S = 20.0
ECHO = """
import json, sys
print("no message", flush=True)
print(json.dumps({"event": "ready"}), flush=True)
for line in sys.stdin:
    print(json.dumps({"event": "heard", "word": line.strip()}), flush=True)
print(json.dumps({"event": "end"}), flush=True)
"""
STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print('{"event": "ready", "child": %d}' % child.pid, flush=True)
time.sleep(600)
"""
PARENT = """
import sys, time
from pathlib import Path
from edgeml.demo.processes import Process
child = Process("child", [sys.executable, "-c", "import time; time.sleep(600)"], Path(sys.argv[1]))
print(child.pid, flush=True)
time.sleep(600)
"""


def eventually(true: Callable[[], object]) -> bool:
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        if true():
            return True
        time.sleep(0.02)
    return False


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_words_in_json_lines_out_end_of_input_ends(tmp_path: Path) -> None:
    process = Process("echo", [sys.executable, "-c", ECHO], tmp_path / "log")
    try:
        assert eventually(lambda: process.newest("ready"))
        process.say("drift")
        assert eventually(lambda: process.newest("heard") == {"event": "heard", "word": "drift"})
        process.check_alive()
        process.close_input()
        assert process.wait(WAIT_S) == 0
        assert process.newest("end") == {"event": "end"}
        process.say("nobody hears this")
    finally:
        process.end(grace_s=1)


def test_death_is_told_with_the_log(tmp_path: Path) -> None:
    process = Process("oven", [sys.executable, "-c", "raise SystemExit('too hot')"], tmp_path / "log")
    try:
        assert process.wait(WAIT_S) == 1
        with pytest.raises(ProcessDiedError, match=r"oven ended by itself with code 1: too hot"):
            process.check_alive()
    finally:
        process.end(grace_s=1)


def test_end_takes_a_stubborn_process_and_its_children(tmp_path: Path) -> None:
    process = Process("mule", [sys.executable, "-c", STUBBORN], tmp_path / "log")
    assert eventually(lambda: process.newest("ready"))
    ready = process.newest("ready")
    assert ready is not None
    assert is_running(process.pid)
    process.end(grace_s=0.2)
    assert eventually(lambda: not is_running(process.pid))
    assert eventually(lambda: not is_running(ready["child"]))


@pytest.mark.skipif(sys.platform != "linux", reason="the tether is Linux's PR_SET_PDEATHSIG")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_killed_parent_takes_its_processes_along(tmp_path: Path, how: signal.Signals) -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path / "log")], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    assert eventually(lambda: is_running(child))
    os.kill(parent.pid, how)
    parent.wait(WAIT_S)
    parent.stdout.close()
    assert eventually(lambda: not is_running(child))
