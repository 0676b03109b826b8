# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgeml import _core, layer_rates
from edgeml.artifact import Artifact
from edgeml.cli.main import main
from support.sparse_artifact import sparse_layers


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv(layer_rates.VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    path = tmp_path / "sparse.edgeml"
    Artifact.build(sparse_layers()).save(path)
    return path


def test_stores_rates_where_sessions_find_them(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tune", str(model), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert Path(document["file"]) == layer_rates.default_path()
    assert layer_rates.load()[_core.ISAS[0]]._asdict() == document["rates"]
    assert {layer["kernel_before"] for layer in document["layers"]} - {""}


def test_says_what_changes(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "here.json"
    assert main(["tune", str(model), "-o", str(path), "--isa", "ref"]) == 0
    assert str(path) in capsys.readouterr().out
    assert set(layer_rates.load(path)) == {"ref"}


def test_a_place_that_cannot_be_written_is_named(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tune", str(model), "-o", str(model / "rates.json")]) == 2
    assert "rates.json" in capsys.readouterr().err


def test_a_process_without_a_home_names_its_file(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")  # what pathlib raises

    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.setattr(Path, "home", no_home)
    assert layer_rates.load() == {}
    assert main(["tune", str(model), "--isa", "ref"]) == 2
    assert "-o or EDGEML_RATES" in capsys.readouterr().err
    assert main(["tune", str(model), "--isa", "ref", "-o", str(tmp_path / "rates.json")]) == 0
