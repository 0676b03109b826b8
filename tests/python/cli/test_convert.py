# SPDX-License-Identifier: Apache-2.0
"""`edgeml convert`, `compare` and `inspect` as a user calls them: exit codes, one sentence, nothing left behind."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from edgeml.artifact import Artifact
from edgeml.cli.main import main
from support.onnx_models import make_model, small_data, small_network


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with net.onnx, data.npz (x and labels y)."""
    (tmp_path / "net.onnx").write_bytes(small_network().SerializeToString(deterministic=True))
    np.savez(tmp_path / "data.npz", x=small_data()["input"], y=np.arange(40) % 5)
    return tmp_path


def convert(folder: Path, *options: str, model: str = "net.onnx", data: str = "data.npz") -> int:
    paths = [str(folder / model), "-o", str(folder / "net.edgeml"), "--calibration", str(folder / data)]
    return main(["convert", *paths, *options])


def sentence(capsys: pytest.CaptureFixture[str]) -> str:
    """What an error printed: nothing on stdout, one line on stderr."""
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("edgeml: ")
    assert captured.err.count("\n") == 1
    assert "Traceback" not in captured.err
    return captured.err


def test_convert_writes_an_artifact(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert convert(folder) == 0
    artifact = Artifact.load(folder / "net.edgeml")
    assert artifact.metadata["name"] == "net"
    assert artifact.model_id.hex() in capsys.readouterr().out


def test_json_is_one_document(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        convert(
            folder, "--json", "--preset", "fast", "--range-method", "minmax", "--no-bias-correction", "--io", "int8"
        )
        == 0
    )
    document = json.loads(capsys.readouterr().out)
    assert document["metadata"]["options"] == {
        "preset": "fast",
        "range_method": "minmax",
        "percentile": 99.99,
        "bias_correction": False,
        "rounding": None,
        "equalization": None,
        "target_isa": "avx512vnni",
        "int8_only": False,
        "io": "int8",
    }
    assert document["bytes"] == (folder / "net.edgeml").stat().st_size


def test_compare(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    convert(folder)
    capsys.readouterr()
    command = ["compare", str(folder / "net.edgeml"), str(folder / "net.onnx"), "--data", str(folder / "data.npz")]
    assert main([*command, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["samples"] == 40
    (output,) = document["outputs"]
    assert output["name"] == "output"
    assert output["decisions_agree"] >= 0.95
    assert output["sqnr_db"] > 28
    assert {"accuracy", "accuracy_float", "max_abs_difference"} <= output.keys()
    assert main(command) == 0
    assert "decisions agree" in capsys.readouterr().out


def test_compare_of_a_reconstruction(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(3)
    constants = {"w": rng.normal(size=(8, 3)).astype(np.float32), "v": rng.normal(size=(3, 8)).astype(np.float32)}
    nodes = [helper.make_node("MatMul", ["x", "w"], ["h"]), helper.make_node("MatMul", ["h", "v"], ["y"])]
    model = make_model(nodes, {"x": ["N", 8]}, ["y"], constants)
    (folder / "net.onnx").write_bytes(model.SerializeToString())
    np.savez(folder / "data.npz", x=rng.normal(size=(50, 8)).astype(np.float32))
    convert(folder)
    capsys.readouterr()
    main(
        ["compare", str(folder / "net.edgeml"), str(folder / "net.onnx"), "--data", str(folder / "data.npz"), "--json"]
    )
    (output,) = json.loads(capsys.readouterr().out)["outputs"]
    assert output["score_correlation"] > 0.99
    assert output["mse"] == pytest.approx(output["mse_float"], rel=0.05)
    assert "decisions_agree" not in output


def test_inspect(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    convert(folder)
    capsys.readouterr()
    assert main(["inspect", str(folder / "net.edgeml"), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["inputs"] == [{"name": "input", "dtype": "float32", "shape": ["N", 2, 12, 10]}]
    assert sum(node["macs"] for node in document["nodes"]) == document["metadata"]["macs"]
    assert [node["op"] for node in document["nodes"]][:3] == ["quantize", "conv2d", "depthwise_conv2d"]
    assert document["telemetry"]["samples"] == 40
    assert document["arena_bytes"] >= 2 * 2 * 8 * 30  # input and output of the second layer, C4P
    assert main(["inspect", str(folder / "net.edgeml")]) == 0
    text = capsys.readouterr().out
    assert "depthwise_conv2d" in text
    assert document["model_id"] in text


@pytest.mark.parametrize(
    ("prepare", "expected"),
    [
        (lambda f: (f / "net.onnx").unlink(), "net.onnx"),
        (lambda f: (f / "net.onnx").write_bytes(b"not a model"), "not an ONNX"),
        (lambda f: (f / "net.onnx").write_bytes((f / "net.onnx").read_bytes()[:900]), "truncated"),
        (lambda f: (f / "data.npz").unlink(), "data.npz"),
        (lambda f: (f / "data.npz").write_bytes(b"PK"), "data.npz"),
        (lambda f: np.savez(f / "data.npz", z=np.ones((20, 2, 12, 10))), "'input'"),
        (lambda f: np.savez(f / "data.npz", x=np.full((20, 2, 12, 10), np.nan)), "NaN"),
        (lambda f: np.savez(f / "data.npz", x=np.ones((20, 12, 10, 2))), "shape"),
    ],
)
def test_errors_are_one_sentence_and_leave_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str], prepare: Callable[[Path], object], expected: str
) -> None:
    prepare(folder)
    before = sorted(folder.iterdir())
    assert convert(folder) == 2
    assert expected in sentence(capsys)
    assert sorted(folder.iterdir()) == before


def test_unsupported_operator_names_op_opset_and_node(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = make_model([helper.make_node("Sin", ["x"], ["y"], name="wave")], {"x": ["N", 4]}, ["y"])
    (folder / "net.onnx").write_bytes(model.SerializeToString())
    assert convert(folder, "--int8-only") == 2
    text = sentence(capsys)
    assert "Sin (opset 13, node 'wave')" in text


def test_nodes_that_stay_in_float_are_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = make_model([helper.make_node("Sin", ["x"], ["y"], name="wave")], {"x": ["N", 2, 12, 10]}, ["y"])
    (folder / "net.onnx").write_bytes(model.SerializeToString())
    assert convert(folder, "--json") == 0
    printed = capsys.readouterr()
    assert printed.err.startswith("stays in float: wave (Sin): operator Sin (opset 13, node 'wave') is not supported")
    assert [kept["node"] for kept in json.loads(printed.out)["metadata"]["float_nodes"]] == ["wave"]


def test_full_disk(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    before = sorted(folder.iterdir())
    assert convert(folder) == 2
    assert "No space left" in sentence(capsys)
    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize("verb", ["inspect", "compare"])
def test_damaged_artifact(folder: Path, capsys: pytest.CaptureFixture[str], verb: str) -> None:
    convert(folder)
    capsys.readouterr()
    artifact = folder / "net.edgeml"
    artifact.write_bytes(artifact.read_bytes()[:-1])
    more = [str(folder / "net.onnx"), "--data", str(folder / "data.npz")] if verb == "compare" else []
    assert main([verb, str(artifact), *more]) == 2
    assert "net.edgeml" in sentence(capsys)


@pytest.mark.parametrize("labels", [np.zeros(3, int), np.zeros((40, 5), int)])
def test_labels_that_do_not_fit(folder: Path, capsys: pytest.CaptureFixture[str], labels: np.ndarray) -> None:
    convert(folder)
    capsys.readouterr()
    np.savez(folder / "data.npz", x=small_data()["input"], y=labels)
    command = ["compare", str(folder / "net.edgeml"), str(folder / "net.onnx"), "--data", str(folder / "data.npz")]
    assert main(command) == 2
    assert "labels" in sentence(capsys)


@pytest.mark.parametrize("verb", ["convert", "compare", "inspect"])
def test_help_teaches_with_an_example(capsys: pytest.CaptureFixture[str], verb: str) -> None:
    with pytest.raises(SystemExit) as stop:
        main([verb, "--help"])
    assert stop.value.code == 0
    assert f"    edgeml {verb} " in capsys.readouterr().out
