# SPDX-License-Identifier: Apache-2.0
"""Questions to the store, their JSON, and errors that are one sentence with exit code 2."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edgeml.artifact.artifact import Artifact
from edgeml.cli.main import main
from support.small_artifact import every_operator
from support.small_fleet import small_fleet

VERBS = ("devices", "drift", "books")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("fleet")
    (path / "fleet.toml").write_text("")
    small_fleet(path / "fleet.db").dispose()
    return path


def ask(capsys: pytest.CaptureFixture[str], folder: Path, *arguments: str) -> tuple[int, str, str]:
    code = main(["fleet", *arguments, "--config", str(folder / "fleet.toml")])
    out, err = capsys.readouterr()
    return code, out, err


def ask_json(capsys: pytest.CaptureFixture[str], folder: Path, *arguments: str) -> tuple[int, Any]:
    code, out, err = ask(capsys, folder, *arguments, "--json")
    assert err == ""
    return code, json.loads(out)


def test_books_exit_1_where_a_window_is_unaccounted(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    code, document = ask_json(capsys, folder, "books")
    assert code == 1
    assert document["unaccounted"] == 5
    assert document["produced"] == document["stored"] + document["waiting"] + 5
    assert {book["device"]: book["unaccounted"] for book in document["devices"]} == {
        "drifting": 0,
        "lossy": 5,
        "steady": 0,
    }
    code, out, _ = ask(capsys, folder, "books")
    assert code == 1
    assert out.splitlines()[-1].split() == ["all", "222", "211", "6", "0", "5"]


def test_devices(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    code, document = ask_json(capsys, folder, "devices")
    assert code == 0
    assert [(one["device"], one["alarms"]) for one in document["devices"]] == [
        ("drifting", 1),
        ("lossy", 0),
        ("steady", 0),
    ]
    assert "acme/steady" in ask(capsys, folder, "devices")[1]


def test_drift(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    code, document = ask_json(capsys, folder, "drift")
    assert code == 0
    assert [alarm["device"] for alarm in document["alarms"]] == ["drifting"]
    assert {(one["device"], one["feature"]) for one in document["drift"]} == {
        (device, f"input/x[{index}]") for device in ("drifting", "lossy", "steady") for index in range(3)
    }
    _, of_one = ask_json(capsys, folder, "drift", "--device", "steady")
    assert {one["device"] for one in of_one["drift"]} == {"steady"}
    assert of_one["alarms"] == []
    assert "ALARM inputs: acme/drifting since" in ask(capsys, folder, "drift")[1]


def fails(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["fleet", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("edgeml: ")
    assert err.count("\n") == 1
    return err


@pytest.mark.parametrize("verb", VERBS)
def test_store_that_is_not_there(capsys: pytest.CaptureFixture[str], tmp_path: Path, verb: str) -> None:
    (tmp_path / "fleet.toml").write_text("")
    assert "there is no store at" in fails(capsys, verb, "--config", str(tmp_path / "fleet.toml"))


def test_the_freeze_switch_of_no_store_is_no_switch(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "fleet.toml").write_text("")
    assert "there is no store at" in fails(capsys, "freeze", "on", "--config", str(tmp_path / "fleet.toml"))
    assert not (tmp_path / "fleet.db").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["fleet.toml"]


@pytest.mark.parametrize("verb", [*VERBS, "serve"])
def test_configuration_that_is_not_there(capsys: pytest.CaptureFixture[str], tmp_path: Path, verb: str) -> None:
    assert "cannot read" in fails(capsys, verb, "--config", str(tmp_path / "fleet.toml"))


def test_push_of_what_is_no_model(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "fleet.toml").write_text("")
    config = ("--config", str(tmp_path / "fleet.toml"))
    (tmp_path / "no.edgeml").write_bytes(b"no model")
    (tmp_path / "bare.edgeml").write_bytes(Artifact.build(every_operator()).to_bytes())
    assert "absent.edgeml" in fails(capsys, "model", "push", str(tmp_path / "absent.edgeml"), *config)
    assert "no.edgeml" in fails(capsys, "model", "push", str(tmp_path / "no.edgeml"), *config)
    assert "has no telemetry schema" in fails(capsys, "model", "push", str(tmp_path / "bare.edgeml"), *config)


def test_brokers_exclude_each_other(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    flags = ("--embedded-broker", "--broker-url", "mqtt://x", "--config", str(folder / "fleet.toml"))
    assert "exclude each other" in fails(capsys, "serve", *flags)


@pytest.mark.parametrize("port", ["-1", "65536", "x", "\uff18\uff10"])
def test_impossible_port(capsys: pytest.CaptureFixture[str], port: str) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["fleet", "serve", f"--http-port={port}"])
    assert caught.value.code == 2
    assert "is not a port of 0..65535" in capsys.readouterr().err
