# SPDX-License-Identifier: Apache-2.0
"""The verb bench through `main`: figures that fit together, sentences for what it cannot measure."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgeml.artifact import Artifact
from edgeml.cli.main import main
from support.small_artifact import every_operator


@pytest.fixture
def model(tmp_path: Path) -> str:
    path = tmp_path / "model.edgeml"
    Artifact.build(every_operator()).save(path)
    return str(path)


def test_bench_measures(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", model, "--seconds", "0.05", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["latency_ms_p50"] > 0
    assert report["latency_ms_p99"] >= report["latency_ms_p50"]
    assert report["macs"] == sum(layer["macs"] for layer in report["layers"]) > 0
    assert {layer["op"] for layer in report["layers"]} >= {"conv2d", "depthwise_conv2d", "fully_connected"}
    assert main(["bench", model, "--seconds", "0.05"]) == 0
    assert "p50" in capsys.readouterr().out
    assert main(["bench", model, "--seconds", "0"]) == 2


def test_a_damaged_artifact_is_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bad.edgeml").write_bytes(b"no artifact at all" * 10)
    assert main(["bench", str(tmp_path / "bad.edgeml")]) == 2
    error = capsys.readouterr().err
    assert "bad_magic" in error
    assert error.count("\n") == 1
