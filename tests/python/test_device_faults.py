# SPDX-License-Identifier: Apache-2.0
"""Faults a device must survive, through its public surface: disk, database, clock, broker. Inference goes on in all."""

from __future__ import annotations

import errno
import json
import random
import socket
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeml.device.monitor import Monitor
from edgeml.errors import DeviceError
from edgeml.privacy import PrivacyBudget
from edgeml.privacy.ledger import DAY_S
from edgeml.telemetry import publisher, spool
from edgeml.telemetry.publisher import PublisherOptions
from edgeml.telemetry.spool import Spool
from edgeml.telemetry.state_directory import SPOOL_FILE
from support.acking_fleet import AckingFleet, wait_for
from support.mosquitto import free_port, mosquitto
from support.numpy_session import NumpySession
from support.write_faults import build, environment

NOON = 20_000.5 * DAY_S
YEAR_S = 365 * DAY_S
FAST = PublisherOptions(ack_timeout_s=1.0, ack_timeout_max_s=2.0, backoff_min_s=0.05, backoff_max_s=0.2)
QUIET = PrivacyBudget(epsilon="1000", per_release="50")  # scale 0.06: off by one about once in 10^7 slots
ONE = {"x": np.array([[0.1]], dtype=np.float32)}


def monitor_of(state: Path, **options: Any) -> Monitor:
    defaults = {"device": "d1", "broker": f"mqtt://127.0.0.1:{free_port()}", "window_s": 3600, "budget": QUIET}
    return Monitor(NumpySession(), state=state, **{**defaults, "publisher": FAST, **options})  # type: ignore[arg-type]


def samples_in(state: Path, budget: PrivacyBudget = QUIET) -> int:
    with closing(Spool(state, budget=budget, now=NOON)) as held:
        return sum(int(window.counts[:5].sum()) for window in held.windows(0))


@pytest.mark.needs_program("cc")
@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EROFS, errno.EIO])
def test_a_disk_that_is_full_read_only_or_broken_loses_no_count(tmp_path: Path, error: int) -> None:
    command = [sys.executable, "-m", "support.faulty_disk", str(tmp_path / "state"), str(error)]
    done = subprocess.run(
        command, env=environment(build(tmp_path)), capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]
    seen = json.loads(done.stdout)
    assert seen["answered"] == 10 * 12, "every inference was answered"
    assert seen["refused"] >= 12, "the disk failed where it should"


def test_a_state_directory_that_cannot_be_written_is_one_sentence() -> None:
    with pytest.raises(DeviceError, match="choose one that can be written"):
        monitor_of(Path("/proc/edgeml"))


def test_a_database_that_is_damaged_while_it_runs(tmp_path: Path) -> None:
    """Inference goes on; the file is kept aside, a new epoch begins, the day is burnt, the fleet is told; no count goes."""
    state = tmp_path / "state"
    with monitor_of(state, clock=lambda: NOON) as monitor:
        for _ in range(4):
            monitor.run(None, ONE)
            monitor.release_window()
        for path in state.glob(f"{SPOOL_FILE}*"):
            data = bytearray(path.read_bytes())
            data[:] = random.Random(1).randbytes(len(data))
            path.write_bytes(data)
        for _ in range(3):
            assert monitor.run(None, ONE)[0].shape == (1, 2)
            assert not monitor.release_window(), "the budget of the day counts as spent"
        assert monitor.status().epsilon_spent == 1000
    assert samples_in(state) == 3, "what was counted since is in a window that tomorrow pays for"
    with closing(Spool(state, budget=QUIET, now=NOON)) as held:
        assert "spool_recovered" in {event.kind for _, event in held.events()}
    assert any("damaged" in path.name for path in state.iterdir())


@pytest.mark.parametrize("years", [10, -10])
def test_a_clock_that_is_years_off_and_comes_back(tmp_path: Path, years: int) -> None:
    now = NOON
    budget = PrivacyBudget(epsilon="100", per_release="50")
    with monitor_of(tmp_path, clock=lambda: now, budget=budget) as monitor:
        spent_days = []
        for shift in (0.0, years * YEAR_S, 0.0, 0.0):
            now = NOON + shift
            monitor.run(None, ONE)
            spent_days.append((monitor.release_window(), monitor.status().epsilon_spent))
        now = NOON + 11 * YEAR_S
        monitor.run(None, ONE)
        assert monitor.release_window(), "a day that nobody has spent from"
    assert [ok for ok, _ in spent_days].count(True) == (3 if years > 0 else 2), "no day is paid twice"
    assert samples_in(tmp_path, budget) == 5, "what could not be released went out later"
    with closing(Spool(tmp_path, budget=budget, now=now)) as held:
        windows = held.windows(0)
        assert all(0 <= window.start <= window.end for window in windows)
        assert "clock_went_back" in {event.kind for _, event in held.events()}


def test_inference_waits_for_no_lock_of_disk_or_network(tmp_path: Path) -> None:
    """Structural: the spool is held by somebody, the windows' thread waits for it, and inferences come back."""
    with monitor_of(tmp_path) as monitor, monitor._spool.file.transaction():
        done = threading.Event()

        def infer() -> None:
            for _ in range(100):
                monitor.run(None, ONE)
            done.set()

        releasing = threading.Thread(target=monitor.release_window)
        releasing.start()
        inferring = threading.Thread(target=infer)
        inferring.start()
        assert done.wait(30), "an inference waits for the disk"
        assert releasing.is_alive(), "the release does wait, or this test sees nothing"
    releasing.join()
    inferring.join()


def test_a_broker_that_says_nothing_is_left_behind_and_found_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sending thread stands in a call that does not come back: another one takes over, and delivers."""
    monkeypatch.setattr(publisher, "HANG_S", 0.3)
    hung, let_go = threading.Event(), threading.Event()
    real = publisher.DeviceConnection.open

    def hangs_once(self: Any) -> None:
        if not hung.is_set():
            hung.set()
            let_go.wait(60)
        real(self)

    monkeypatch.setattr(publisher.DeviceConnection, "open", hangs_once)
    with mosquitto(tmp_path) as broker, closing(AckingFleet(broker.port)) as fleet:
        with monitor_of(tmp_path / "state", broker=f"mqtt://127.0.0.1:{broker.port}", window_s=0.2) as monitor:
            assert hung.wait(30)
            wait_for(lambda: len(fleet.windows) >= 3, "windows by the second thread")
            let_go.set()
            wait_for(lambda: monitor.status().windows_waiting == 0, "the acks")
        assert fleet.deliveries == len(fleet.windows), "the one that was left behind sends nothing"


def test_a_sending_thread_that_dies_is_started_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    died = threading.Event()
    real = publisher.Publisher._run

    def dies_once(self: Any, life: int) -> None:
        if not died.is_set():
            died.set()
            return
        real(self, life)

    monkeypatch.setattr(publisher.Publisher, "_run", dies_once)
    with (
        mosquitto(tmp_path) as broker,
        closing(AckingFleet(broker.port)) as fleet,
        monitor_of(tmp_path / "state", broker=f"mqtt://127.0.0.1:{broker.port}", window_s=0.2),
    ):
        assert died.wait(30)
        wait_for(lambda: len(fleet.windows) >= 2, "windows by the second thread")


def test_a_server_that_accepts_and_never_answers(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        with monitor_of(tmp_path, broker=f"mqtt://127.0.0.1:{silent.getsockname()[1]}") as monitor:
            monitor.run(None, ONE)
            assert monitor.release_window()
            assert monitor.run(None, ONE)[0].shape == (1, 2)
        assert monitor.status().windows_waiting == 2


@pytest.mark.needs_program("mosquitto")
def test_a_broker_killed_with_2000_messages_in_flight_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One window a message, 2,000 of them sent and unacknowledged when mosquitto gets SIGKILL, twice."""
    monkeypatch.setattr(spool, "REPORT_BYTES_TARGET", 1)
    monkeypatch.setattr(publisher, "REPORTS_IN_FLIGHT_MAX", 2000)
    budget = PrivacyBudget(epsilon="1000", per_release="0.1")
    with mosquitto(tmp_path) as broker, closing(AckingFleet(broker.port)) as fleet:
        broker.kill()
        address = f"mqtt://127.0.0.1:{broker.port}"
        with monitor_of(tmp_path / "state", broker=address, budget=budget, clock=lambda: NOON) as monitor:
            for _ in range(2000):
                assert monitor.release_window()
            fleet.acks = False
            for _ in range(2):
                broker.start()
                before = fleet.deliveries
                wait_for(lambda before=before: fleet.deliveries > before + 200, "a part of the messages", 60)
                assert monitor.status().windows_waiting == 2000, "all of them are in flight"
                broker.kill()
            fleet.acks = True
            broker.start()
            wait_for(lambda: monitor.status().windows_waiting == 0, "the acks of all", 120)
            assert {seq for _, seq in fleet.windows} >= set(range(1, 2001))
        assert fleet.deliveries > 2000, "some went twice, with the same bytes, and count once"
        assert {len(report.windows) for report in fleet.reports} == {1}
