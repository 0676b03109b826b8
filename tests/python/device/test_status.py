# SPDX-License-Identifier: Apache-2.0
"""`edgeml device status`: what the person at the device reads, while it runs and afterwards."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from edgeml.cli.main import main
from edgeml.device.monitor import Monitor
from edgeml.device.status import RUNNING_FILE, read_status
from edgeml.errors import DeviceError
from edgeml.privacy import PrivacyBudget
from edgeml.telemetry.publisher import PublisherOptions
from support.acking_fleet import AckingFleet, wait_for
from support.mosquitto import mosquitto
from support.numpy_session import NumpySession

FAST = PublisherOptions(ack_timeout_s=0.5, backoff_min_s=0.05, backoff_max_s=0.2)
CONFIG = """
model = "model.edgeml"
state = "state"
device = "gate-7"
[budget]
epsilon = "8"
per_release = "1"
[input]
npz = "inputs"
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "device.toml").write_text(CONFIG)
    return tmp_path / "device.toml"


def status(config: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    assert main(["device", "status", "--config", str(config), "--json"]) == 0
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return document


def monitor_of(folder: Path, port: int) -> Monitor:
    return Monitor(
        NumpySession(),  # type: ignore[arg-type]
        state=folder / "state",
        device="gate-7",
        broker=f"mqtt://127.0.0.1:{port}",
        budget=PrivacyBudget(epsilon="8", per_release="1"),
        publisher=FAST,
    )


@pytest.mark.needs_program("mosquitto")
def test_status_follows_the_device(tmp_path: Path, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["device", "status", "--config", str(config)]) == 2
    assert "has no spool.sqlite3" in capsys.readouterr().err
    with mosquitto(tmp_path) as broker, monitor_of(tmp_path, broker.port) as monitor:
        monitor.release_window()
        wait_for(lambda: monitor.status().is_connected, "the connection")
        told = status(config, capsys)
        assert told["is_running"]
        assert told["running"]["is_connected"]
        assert (told["running"]["device"], told["running"]["model_name"]) == ("gate-7", "two classes")
        assert (told["windows_produced"], told["windows_waiting"], told["last_ack"]) == (1, 1, None)
        assert (told["epsilon_spent"], told["epsilon_left"]) == (1, 7)
        with closing(AckingFleet(broker.port)):
            wait_for(lambda: monitor.status().windows_waiting == 0, "the ack")
        told = status(config, capsys)
        assert told["windows_waiting"] == 0
        assert told["last_ack"] > 1_600_000_000
        broker.kill()
        wait_for(lambda: not status(config, capsys)["running"]["is_connected"], "the end of the connection")
    told = status(config, capsys)
    assert not told["is_running"]
    assert (told["windows_produced"], told["windows_waiting"], told["epsilon_left"]) == (2, 1, 6)
    assert main(["device", "status", "--config", str(config)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "device    default/gate-7, does not run"
    assert "windows   2 made, 1 wait for the fleet" in lines
    assert "budget    6 epsilon left today, 2 spent" in lines


def test_a_damaged_file_of_the_process_is_no_obstacle(tmp_path: Path) -> None:
    monitor_of(tmp_path, 1).close()
    (tmp_path / "state" / RUNNING_FILE).write_text("{")
    assert read_status(tmp_path / "state").running is None
    assert read_status(tmp_path / "state", now=0.0).windows_produced == 1
    (tmp_path / "state" / "spool.sqlite3").write_bytes(b"x" * 4096)
    with pytest.raises(DeviceError, match="cannot be read"):
        read_status(tmp_path / "state")
