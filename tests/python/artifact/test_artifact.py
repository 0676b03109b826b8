# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path

import numpy as np
import pytest

from edgeml.artifact import Artifact
from edgeml.artifact.evaluate import evaluate
from edgeml.artifact.operators import OPERATORS, PLAIN_CODE_MIN
from edgeml.artifact.writer import write
from edgeml.errors import ArtifactError
from support.small_artifact import INPUT_SHAPE, every_operator


def test_file_holds_what_was_written(tmp_path: Path) -> None:
    content = every_operator()
    Artifact.build(content).save(tmp_path / "a.edgeml")
    loaded = Artifact.load(tmp_path / "a.edgeml")
    assert loaded.metadata == content.metadata
    assert loaded.graph.nodes == content.graph.nodes
    assert (loaded.graph.inputs, loaded.graph.outputs) == (content.graph.inputs, content.graph.outputs)
    for mine, theirs in zip(loaded.graph.tensors, content.graph.tensors, strict=True):
        assert (mine.name, mine.dtype, mine.dims) == (theirs.name, theirs.dtype, theirs.dims)
        assert (mine.scale, mine.zero_point) == (theirs.scale, theirs.zero_point)
        assert (mine.data is None) == (theirs.data is None)
        if mine.data is not None and theirs.data is not None:
            assert np.array_equal(mine.data, theirs.data)
    assert {node.op for node in content.graph.nodes} == {row.name for row in OPERATORS if row.code < PLAIN_CODE_MIN}


def test_read_then_write_gives_the_same_bytes() -> None:
    artifact = Artifact.build(every_operator())
    assert write(artifact._content) == artifact.to_bytes()


def test_model_id_is_the_hash_of_the_file() -> None:
    artifact = Artifact.build(every_operator())
    assert artifact.model_id == hashlib.sha256(artifact.to_bytes()).digest()[:8]
    assert artifact.model_id != Artifact.build(every_operator(seed=8)).model_id


def test_graph_of_a_loaded_artifact_can_be_evaluated(rng: np.random.Generator) -> None:
    graph = Artifact.build(every_operator()).graph
    outputs = evaluate(graph, {"t0": rng.normal(size=(2, *INPUT_SHAPE)).astype(np.float32)})
    probabilities, shares, real = outputs.values()
    assert probabilities.shape == (2, 6)
    assert np.allclose(probabilities.sum(axis=1), 1)
    assert shares.dtype == np.int8
    assert real.shape == (2, 2, 4, 4)


def test_failed_save_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    artifact = Artifact.build(every_operator())
    target = tmp_path / "a.edgeml"
    target.write_bytes(b"the old file")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ArtifactError, match="No space left"):
        artifact.save(target)
    assert target.read_bytes() == b"the old file"
    assert list(tmp_path.iterdir()) == [target]


def test_save_into_a_missing_folder_names_it(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="missing"):
        Artifact.build(every_operator()).save(tmp_path / "missing" / "a.edgeml")


def test_devices_and_folders_are_not_replaced(tmp_path: Path) -> None:
    for target in (Path(os.devnull), tmp_path):
        with pytest.raises(ArtifactError, match="not a regular file"):
            Artifact.build(every_operator()).save(target)
    assert Path(os.devnull).is_char_device()
    assert list(tmp_path.iterdir()) == []


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"gone\.edgeml"):
        Artifact.load(tmp_path / "gone.edgeml")
