# SPDX-License-Identifier: Apache-2.0
"""`edgeml check`: an artifact's own promise, kept, broken and missing."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgeml
from edgeml import _core
from edgeml.artifact import Artifact
from edgeml.artifact.evaluate import evaluate
from edgeml.artifact.model import Content
from edgeml.artifact.reader import read
from edgeml.cli.main import main
from edgeml.convert.options import Io
from support.onnx_models import small_data, small_network


@pytest.fixture(scope="module")
def artifact() -> Artifact:
    return edgeml.convert(small_network(), calibration=small_data())


def altered(artifact: Artifact, **metadata: Any) -> Artifact:
    content: Content = read(artifact.to_bytes())
    return Artifact.build(dataclasses.replace(content, metadata={**content.metadata, **metadata}))


def check(artifact: Artifact, folder: Path, *options: str) -> int:
    artifact.save(folder / "m.edgeml")
    return main(["check", str(folder / "m.edgeml"), *options])


def test_every_level_and_thread_count_keeps_the_promise(
    artifact: Artifact, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check(artifact, tmp_path, "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["same"] is True
    assert [(run["isa"], run["threads"]) for run in document["runs"]] == [(i, t) for i in _core.ISAS for t in (1, 2)]
    assert all(run["vectors"] == 4 and run["mismatches"] == [] for run in document["runs"])
    assert check(artifact, tmp_path, "--isa", "ref", "--threads", "1") == 0
    assert "ref" in capsys.readouterr().out


@pytest.mark.parametrize("io", ["float32", "int8"])
def test_a_stranger_makes_the_same_vectors_from_the_page(io: Io) -> None:
    made = edgeml.convert(small_network(), calibration=small_data(), io=io)
    golden = made.metadata["golden"]
    (low, high) = golden["inputs"]["input"]
    tensor = made.graph.tensors[made.graph.inputs[0]]
    shape = (1, *tensor.dims[1:])
    for i, expected in enumerate(golden["vectors"]):
        b = np.frombuffer(
            hashlib.shake_256(f"edgeml golden vector {i} input".encode()).digest(int(np.prod(shape))), "u1"
        )
        x = (low + (high - low) * (b / 255)).reshape(shape)
        x = x.astype(np.float32) if io == "float32" else np.rint(x).astype(np.int8)
        (y,) = evaluate(made.graph, {"input": x}).values()
        assert hashlib.sha256(y.tobytes()).hexdigest() == expected["output"]


def test_another_answer_is_exit_1_and_named(
    artifact: Artifact, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    golden = json.loads(json.dumps(artifact.metadata["golden"]))
    golden["vectors"][2]["output"] = "00" * 32
    broken = altered(artifact, golden=golden)
    assert check(broken, tmp_path, "--isa", "ref", "--threads", "1") == 1
    text = capsys.readouterr().out
    assert "vector 2, output output" in text
    assert "do not use" in text
    assert check(broken, tmp_path, "--json") == 1
    document = json.loads(capsys.readouterr().out)
    assert [m["vector"] for run in document["runs"] for m in run["mismatches"]] == [2] * len(document["runs"])


@pytest.mark.parametrize(
    "golden",
    [
        None,
        [],
        {"inputs": {}, "vectors": []},
        {"inputs": {"input": [0, 1]}, "vectors": []},
        {"inputs": {"input": [0, 1]}, "vectors": [{}]},
        {"inputs": {"input": [0, 1]}, "vectors": [{"output": "xyz"}]},
        {"inputs": {"input": [0, 1]}, "vectors": [{"output": 5}]},
        {"inputs": {"input": [1, 0]}, "vectors": [{"output": "00"}]},
        {"inputs": {"input": "01"}, "vectors": "no"},
        {"inputs": {"input": [0, 10**400]}, "vectors": [{"output": "00"}]},
    ],
)
def test_vectors_that_are_missing_or_nonsense_are_one_sentence(
    artifact: Artifact, tmp_path: Path, capsys: pytest.CaptureFixture[str], golden: Any
) -> None:
    assert check(altered(artifact, golden=golden), tmp_path) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert "golden vectors" in captured.err
