# SPDX-License-Identifier: Apache-2.0
"""`edgeml device run` as a process: real artifact, real broker, ended by SIGTERM, by kill -9, and by bad input."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edgeml.privacy import PrivacyBudget
from edgeml.privacy.ledger import read_days
from edgeml.telemetry.spool import Spool
from edgeml.telemetry.state_directory import SPOOL_FILE
from support.acking_fleet import AckingFleet, wait_for
from support.monitored_artifact import INPUT, monitored_artifact
from support.mosquitto import Mosquitto, free_port, mosquitto
from support.small_artifact import INPUT_SHAPE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CONFIG = """
model = "model.edgeml"
state = "state"
device = "d1"
tenant = "acme"
broker = "mqtt://127.0.0.1:{port}"
window_s = 0.2

[budget]
epsilon = "1000"
per_release = "20"

[input]
{input}
period_s = 0.005
"""


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with mosquitto(tmp_path) as running:
        yield running


def write_device(folder: Path, port: int, source: str = 'npz = "inputs"') -> None:
    monitored_artifact().save(folder / "model.edgeml")
    (folder / "inputs").mkdir(exist_ok=True)
    samples = np.random.default_rng(1).normal(scale=0.3, size=(20, *INPUT_SHAPE)).astype(np.float32)
    np.savez(folder / "inputs" / "a.npz", **{INPUT: samples})
    (folder / "device.toml").write_text(CONFIG.format(port=port, input=source))


def start(folder: Path) -> subprocess.Popen[str]:
    command = [
        sys.executable,
        "-m",
        "edgeml.cli.main",
        "device",
        "run",
        "--config",
        str(folder / "device.toml"),
        "--json",
    ]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ)


def released(spool_file: Path) -> int:
    """Releases in the ledger of a device that runs."""
    if not spool_file.exists():
        return 0
    try:
        return sum(day.releases for day in read_days(spool_file))
    except sqlite3.OperationalError:  # the tables are not there yet
        return 0


def test_runs_reports_and_ends_on_sigterm(tmp_path: Path, broker: Mosquitto) -> None:
    write_device(tmp_path, broker.port)
    with closing(AckingFleet(broker.port)) as fleet:
        process = start(tmp_path)
        try:
            wait_for(lambda: len(fleet.windows) >= 3, "three windows")
        finally:
            process.send_signal(signal.SIGTERM)
            out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        status = json.loads(out)
        assert status["windows_waiting"] == 0
        assert status["windows_produced"] == len(fleet.windows)
        assert status["epsilon_spent"] == 20 * len(fleet.windows)
        assert "Traceback" not in err
        windows = list(fleet.windows.values())
        assert {window.model_id for window in windows} == {monitored_artifact().model_id}
        latency = sum(int(window.counts[-27:].sum()) for window in windows)
        assert latency > 20  # about 40 inferences a window; the noise of the sum has a deviation of about 4
        assert not fleet.messages("lwt")
    with closing(Spool(tmp_path / "state", budget=PrivacyBudget(), now=0)) as spool:
        assert spool.windows(0) == ()


def test_kill_9_and_again_loses_no_stored_window(tmp_path: Path, broker: Mosquitto) -> None:
    write_device(tmp_path, broker.port)
    broker.kill()  # so that every window waits in the spool
    spool_file = tmp_path / "state" / SPOOL_FILE
    for windows in (2, 4, 6):
        process = start(tmp_path)
        wait_for(lambda least=windows: released(spool_file) >= least, "some windows")
        process.kill()
        process.communicate(timeout=60)
    with closing(Spool(tmp_path / "state", budget=PrivacyBudget(), now=0)) as spool:
        held = {(spool.epoch, window.seq): window for window in spool.windows(0)}
    assert len(held) >= 3  # a release that a kill met is burnt
    broker.start()
    with closing(AckingFleet(broker.port)) as fleet:
        process = start(tmp_path)
        wait_for(lambda: held.keys() <= fleet.windows.keys(), "everything that was stored")
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        assert {key: fleet.windows[key] for key in held} == held
        assert sorted(seq for _, seq in fleet.windows) == list(range(1, json.loads(out)["windows_produced"] + 1))


def test_a_source_that_waits_is_ended_too(tmp_path: Path) -> None:
    source = """
import time
def frames():
    print("waiting", flush=True)
    while True:
        time.sleep(1000)
        yield {}
"""
    (tmp_path / "slow_camera.py").write_text(source)
    write_device(tmp_path, free_port(), 'source = "slow_camera:frames"')
    process = start(tmp_path)
    assert process.stdout is not None
    assert process.stdout.readline() == "waiting\n"
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert json.loads(out)["windows_produced"] >= 1


def test_a_source_that_ends_ends_the_device(tmp_path: Path) -> None:
    feeds = f"import numpy\ndef frames():\n    yield {{{INPUT!r}: numpy.zeros((2, 3, 7, 6), numpy.float32)}}\n"
    (tmp_path / "short_camera.py").write_text(feeds)
    write_device(tmp_path, free_port(), 'source = "short_camera:frames"')
    process = start(tmp_path)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert json.loads(out)["windows_produced"] == json.loads(out)["windows_waiting"] >= 1


@pytest.mark.parametrize("what", ["config", "model", "inputs", "shape", "budget"])
def test_one_sentence_for_what_cannot_run(tmp_path: Path, what: str) -> None:
    write_device(tmp_path, free_port())
    if what == "config":
        (tmp_path / "device.toml").unlink()
    elif what == "model":
        (tmp_path / "model.edgeml").write_bytes(b"EDGEML")
    elif what == "inputs":
        (tmp_path / "inputs" / "a.npz").unlink()
    elif what == "shape":
        np.savez(tmp_path / "inputs" / "a.npz", x=np.zeros((4, 3, 7), np.float32))
    else:
        text = (tmp_path / "device.toml").read_text()
        (tmp_path / "device.toml").write_text(text.replace('per_release = "20"', "per_release = 1.0"))
    process = start(tmp_path)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert out == ""
    assert "Traceback" not in err
    assert err.splitlines()[-1].startswith("edgeml: ")
