# SPDX-License-Identifier: Apache-2.0
"""`edgeml demo` from end to end, once: its summary against store and API, and what it leaves behind. Takes two minutes."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

pytest.importorskip("sklearn", reason="needs edgeml[demo]")
pytest.importorskip("amqtt", reason="needs edgeml[demo]")
import sqlalchemy as sa

from edgeml.cli.main import main
from edgeml.privacy.budget import MICRO
from support.child import ENVIRONMENT

DEMO = (sys.executable, "-m", "edgeml.cli.main", "demo")
RUN_TIMEOUT_S = 300.0
END_TIMEOUT_S = 20.0
DRIFTING = {"camera-4", "camera-5"}


@dataclass(frozen=True, kw_only=True)
class Played:
    """What a demo that kept its dashboard open showed while it was open, and how it ended."""

    summary: dict[str, Any]
    overview: dict[str, Any]
    rollouts: list[dict[str, Any]]
    anonymous_status: int  # HTTP status of the API without the token
    store: list[dict[str, Any]]
    page: str
    standard_output: str
    standard_error: str
    exit_code: int
    left_behind: list[str]


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    folder = tmp_path_factory.mktemp("demo")
    page, work, errors = folder / "page.html", folder / "work", folder / "stderr"
    command = [*DEMO, "--json", "--keep", "--dashboard", str(page), "--work", str(work)]
    with errors.open("wb") as stderr:
        demo = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, cwd=folder, env=ENVIRONMENT)
        try:
            text = read_document(demo)
            summary = json.loads(text)
            address = summary["dashboard_url"] + "api/v1/overview"
            bearer = {"Authorization": f"Bearer {summary['token']}"}
            overview = httpx.get(address, headers=bearer, timeout=10).raise_for_status().json()
            rollouts = httpx.get(summary["dashboard_url"] + "api/v1/rollouts", headers=bearer, timeout=10).json()[
                "rollouts"
            ]
            anonymous_status = httpx.get(address, timeout=10).status_code
            children = descendants(demo.pid)
            assert children, "the fleet serves on"
            store = stored_windows(work / "fleet.db")
            demo.send_signal(signal.SIGINT)
            rest, _ = demo.communicate(timeout=END_TIMEOUT_S)
        finally:
            demo.kill()
            demo.wait()
    return Played(
        summary=summary,
        overview=overview,
        rollouts=rollouts,
        anonymous_status=anonymous_status,
        store=store,
        page=page.read_text(),
        standard_output=text + rest.decode(),
        standard_error=errors.read_text(),
        exit_code=demo.returncode,
        left_behind=[pid for pid in children if Path(f"/proc/{pid}").exists()] + processes_that_name(folder),
    )


def read_document(demo: subprocess.Popen[bytes]) -> str:
    """Read standard output up to the brace in the first column that closes the document."""
    assert demo.stdout is not None
    os.set_blocking(demo.stdout.fileno(), False)
    text, give_up_s = "", time.monotonic() + RUN_TIMEOUT_S
    while not text.endswith("\n}\n"):
        assert time.monotonic() < give_up_s, "no document in time"
        assert demo.poll() is None, f"exit {demo.returncode}"
        text += (demo.stdout.read() or b"").decode()
        time.sleep(0.1)
    os.set_blocking(demo.stdout.fileno(), True)
    return text


def stored_windows(path: Path) -> list[dict[str, Any]]:
    engine = sa.create_engine(f"sqlite:///{path}")
    query = (
        "SELECT device.name AS device, window.seq, window.epoch_id, window.merged, window.epsilon_micro,"
        " window.noise_numerator, window.noise_denominator FROM window JOIN device ON device.id = window.device_id"
    )
    with engine.connect() as connection:
        rows = [dict(row) for row in connection.execute(sa.text(query)).mappings()]
    engine.dispose()
    return rows


def descendants(pid: int) -> list[int]:
    """Ids of all processes below one that runs."""
    parents: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    found, queue = [], [pid]
    while queue:
        children = parents.get(queue.pop(), [])
        found += children
        queue += children
    return found


def processes_that_name(folder: Path) -> list[str]:
    found = []
    for line in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = line.read_bytes()
        except OSError:
            continue
        if str(folder).encode() in words:
            found.append(words.replace(b"\0", b" ").decode())
    return found


def test_every_promise_holds(played: Played) -> None:
    assert played.summary["checks"] == dict.fromkeys(played.summary["checks"], True)
    assert len(played.summary["checks"]) == 11
    assert played.summary["passed"]
    assert played.exit_code == 0


def test_alarms_at_the_api_are_those_of_the_summary(played: Played) -> None:
    assert {d["name"] for d in played.summary["devices"] if d["alarm"]} == DRIFTING
    open_alarms = [alarm for alarm in played.overview["alarms"] if alarm["closed_s"] is None]
    assert {alarm["device"] for alarm in open_alarms} == DRIFTING
    assert {alarm["device"] for alarm in played.overview["alarms"]} == DRIFTING  # no closed one of a healthy device
    assert all(alarm["findings"] for alarm in open_alarms)


def test_books_of_devices_store_and_api_agree(played: Played) -> None:
    assert played.summary["windows"]["unaccounted"] == played.overview["books"]["unaccounted"] == 0
    assert played.summary["windows"]["produced"] == played.overview["books"]["produced"] == len(played.store)
    for device in played.summary["devices"]:
        windows = [row for row in played.store if row["device"] == device["name"]]
        assert device["windows_produced"] == device["windows_stored"] == len(windows) >= 6
        assert sorted(row["seq"] for row in windows) == list(range(1, len(windows) + 1))
        assert len({row["epoch_id"] for row in windows}) == 1


def test_epsilon_of_every_device_is_the_sum_over_its_windows(played: Played) -> None:
    at_fleet = {row["device"]: row for row in played.overview["devices"]}
    for device in played.summary["devices"]:
        windows = [row for row in played.store if row["device"] == device["name"]]
        spent = sum(row["epsilon_micro"] * row["merged"] for row in windows)
        assert spent == round(device["epsilon_spent"] * MICRO) == at_fleet[device["name"]]["epsilon_spent_micro"]
        assert device["epsilon_budget"] * MICRO == at_fleet[device["name"]]["epsilon_budget_micro"]
        features = len({one["feature"] for one in played.overview["drift"]}) + 1  # and latency, without reference
        assert {(row["noise_numerator"], row["noise_denominator"]) for row in windows} == {(features, 1)}


def test_figures_are_measured(played: Played) -> None:
    accuracy = played.summary["accuracy"]
    assert accuracy["float32"] >= 0.98
    assert accuracy["int8"] >= accuracy["float32"] - 0.01
    assert accuracy["agreement"] >= 0.98
    for device in played.summary["devices"]:
        assert device["inferences"] > 1000
        assert device["accuracy_before"] > 0.95
        assert 0 < device["latency_us_p50"] <= device["latency_us_p99"]
        if device["name"] in DRIFTING:
            assert device["accuracy_after"] < device["accuracy_before"]


def test_rollouts_at_the_api_are_those_of_the_summary(played: Played) -> None:
    broken, retrained = played.rollouts  # the newest first
    said = played.summary["releases"]
    assert (retrained["model_id"], retrained["state"]) == (said["retrained"]["model_id"], "done")
    assert [state for wave in retrained["waves"] for state in wave["states"]] == ["confirmed"] * 5
    assert (broken["model_id"], broken["state"]) == (said["broken"]["model_id"], "rolled back")
    assert broken["fallback_id"] == retrained["model_id"]
    assert broken["reason"] == said["broken"]["reason"] != ""
    assert sum(wave["states"].count("waiting") for wave in broken["waves"]) == 4  # one device alone tried it
    assert {row["model_id"] for row in played.overview["devices"]} == {retrained["model_id"]}


def test_page_stands_alone_and_names_the_drifting_devices(played: Played) -> None:
    assert played.page.startswith("<!doctype html>")
    for absent in ("<script", 'href="/', 'src="/', "http://127.0.0.1", played.summary["token"]):
        assert absent not in played.page
    assert "<style>" in played.page
    for device in played.summary["devices"]:
        assert device["name"] in played.page
    assert '<b id="alarms-open">2</b>' in played.page


def test_document_is_alone_on_standard_output_and_progress_on_standard_error(played: Played) -> None:
    json.loads(played.standard_output)
    assert "drift alarm for camera-4" in played.standard_error
    assert "drift alarm for camera-5" in played.standard_error
    assert "Traceback" not in played.standard_error
    assert f"{played.summary['dashboard_url']}?token={played.summary['token']}" in played.standard_error


def test_token_guards_the_dashboard(played: Played) -> None:
    assert played.anonymous_status == 401


def test_no_process_is_left_behind(played: Played) -> None:
    assert played.left_behind == []


def test_device_that_dies_fails_the_demo_with_one_sentence(tmp_path: Path) -> None:
    command = [*DEMO, "--json", "--devices", "3", "--work", "work"]
    demo = subprocess.Popen(
        command, cwd=tmp_path, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        device = wait_for_process(demo, tmp_path, "--device camera-2")
        os.kill(device, signal.SIGKILL)
        out, err = demo.communicate(timeout=END_TIMEOUT_S)
    finally:
        demo.kill()
        demo.wait()
    assert demo.returncode == 1
    assert "edgeml: camera-2 ended by itself with code -9" in err
    assert "Traceback" not in err
    assert out == ""
    assert processes_that_name(tmp_path) == []


def wait_for_process(demo: subprocess.Popen[str], folder: Path, words: str) -> int:
    """Id of the process of this demo whose command line has these words."""
    give_up_s = time.monotonic() + 60
    while time.monotonic() < give_up_s:
        assert demo.poll() is None
        for line in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                command = line.read_bytes().replace(b"\0", b" ").decode()
                if words in command and str(folder) in command:
                    return int(line.parent.name)
        time.sleep(0.1)
    pytest.fail(f"no process {words}")


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_end_in_the_middle_leaves_no_process_behind(tmp_path: Path, how: signal.Signals) -> None:
    demo = subprocess.Popen(
        [*DEMO, "--work", "work"], cwd=tmp_path, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        give_up_s = time.monotonic() + 60
        while len(started := processes_that_name(tmp_path)) < 6:  # fleet and five devices
            assert demo.poll() is None
            assert time.monotonic() < give_up_s, started
            time.sleep(0.1)
        demo.send_signal(how)
        demo.wait(END_TIMEOUT_S)
    finally:
        demo.kill()
        demo.wait()
    give_up_s = time.monotonic() + END_TIMEOUT_S
    while (left := processes_that_name(tmp_path)) and time.monotonic() < give_up_s:
        time.sleep(0.05)
    assert left == []
    assert not (tmp_path / "edgeml-demo.html").exists()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--devices", "2"], "--devices 2: 3 to 20 devices are possible"),
        (["--devices", "21"], "--devices 21: 3 to 20 devices are possible"),
        (["--dashboard", "nowhere/page.html"], "there is no folder"),
        (["--work", "."], "name a folder that is not there yet"),
    ],
)
def test_impossible_option_is_one_sentence_and_exit_2(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    options: list[str],
    sentence: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["demo", *options]) == 2
    told = capfd.readouterr()
    assert sentence in told.err
    assert told.err.count("\n") == 1
    assert told.out == ""
    assert list(tmp_path.iterdir()) == []
