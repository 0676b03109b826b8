# SPDX-License-Identifier: Apache-2.0
"""The verb run through `main`: files, JSON, sentences, exit codes."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import numpy as np
import pytest

from edgeml import _core
from edgeml.artifact import Artifact
from edgeml.artifact.evaluate import evaluate
from edgeml.cli.main import main
from support.small_artifact import INPUT_SHAPE, every_operator


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.edgeml"
    Artifact.build(every_operator()).save(path)
    return path


@pytest.fixture
def x() -> np.ndarray:
    return np.random.default_rng(5).standard_normal((70, *INPUT_SHAPE)).astype(np.float32)


def run(*arguments: str | Path) -> int:
    return main([str(a) for a in arguments])


def test_run_writes_the_outputs_and_the_same_bytes_on_every_level(model: Path, x: np.ndarray, tmp_path: Path) -> None:
    np.savez(tmp_path / "in.npz", x=x, y=np.zeros(len(x)))
    files = []
    for isa in _core.ISAS:
        for threads in ("1", "2"):
            out = tmp_path / f"out-{isa}-{threads}.npz"
            assert run("run", model, "--input", tmp_path / "in.npz", "-o", out, "--isa", isa, "--threads", threads) == 0
            files.append(out.read_bytes())
    assert len(set(files)) == 1
    expected = evaluate(Artifact.load(model).graph, {"t0": x})
    with np.load(out) as outputs:
        assert set(outputs.files) == set(expected)
        for name in outputs.files:
            assert np.array_equal(outputs[name], expected[name])


def test_run_json_is_one_document(
    model: Path, x: np.ndarray, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez(tmp_path / "in.npz", t0=x[:3])
    assert run("run", model, "--input", tmp_path / "in.npz", "-o", tmp_path / "out.npz", "--json") == 0
    assert json.loads(capsys.readouterr().out)["isa"] == _core.ISAS[0]


def test_run_refuses_bad_files(model: Path, x: np.ndarray, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.savez(tmp_path / "named.npz", other=x)
    np.savez(tmp_path / "shape.npz", x=x[:, :2])
    np.savez(tmp_path / "dtype.npz", x=x.astype(np.float64))
    np.save(tmp_path / "single.npz.npy", x)
    (tmp_path / "text.npz").write_text("not an archive")
    (tmp_path / "cut.npz").write_bytes((tmp_path / "shape.npz").read_bytes()[:-300])
    (tmp_path / "objects.npz").touch()
    np.savez(tmp_path / "objects.npz", x=np.array([{}], dtype=object))
    for name, sentence in {
        "named.npz": "has no array named 't0' or 'x'; it has other",
        "shape.npz": "has shape",
        "dtype.npz": "astype(numpy.float32)",
        "single.npz.npy": "single array",
        "text.npz": "not a readable .npz",
        "cut.npz": "not a readable .npz",
        "objects.npz": "not a readable .npz",
        "missing.npz": "cannot read",
    }.items():
        out = tmp_path / "out.npz"
        assert run("run", model, "--input", tmp_path / name, "-o", out) == 2, name
        captured = capsys.readouterr()
        assert sentence in captured.err
        assert captured.err.count("\n") == 1
        assert not captured.out
        assert not out.exists()


def test_run_leaves_nothing_when_the_disk_is_full(
    model: Path, x: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez(tmp_path / "in.npz", x=x)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    before = sorted(tmp_path.iterdir())
    assert run("run", model, "--input", tmp_path / "in.npz", "-o", tmp_path / "out.npz") == 2
    assert "No space left on device" in capsys.readouterr().err
    assert sorted(tmp_path.iterdir()) == before


def test_a_damaged_artifact_is_a_sentence(tmp_path: Path, x: np.ndarray, capsys: pytest.CaptureFixture[str]) -> None:
    np.savez(tmp_path / "in.npz", x=x)
    (tmp_path / "bad.edgeml").write_bytes(b"no artifact at all" * 10)
    assert run("run", tmp_path / "bad.edgeml", "--input", tmp_path / "in.npz", "-o", tmp_path / "o.npz") == 2
    error = capsys.readouterr().err
    assert "bad_magic" in error
    assert error.count("\n") == 1
    assert not (tmp_path / "o.npz").exists()


def test_a_device_is_not_replaced(
    model: Path, x: np.ndarray, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez(tmp_path / "in.npz", x=x)
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    assert run("run", model, "--input", tmp_path / "in.npz", "-o", fifo) == 2
    assert "not a regular file" in capsys.readouterr().err
    assert fifo.is_fifo()
