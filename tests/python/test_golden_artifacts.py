# SPDX-License-Identifier: Apache-2.0
"""The golden artifacts are what their script writes, and both readers refuse each hostile one."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

import edgeml
from edgeml.artifact.reader import read
from edgeml.artifact.writer import write
from edgeml.errors import ArtifactError
from support.small_artifact import every_operator
from support.sparse_artifact import sparse_layers

GOLDEN = Path(__file__).parents[1] / "golden"
SPEC = importlib.util.spec_from_file_location("make_artifacts", GOLDEN / "make_artifacts.py")
assert SPEC is not None
assert SPEC.loader is not None
make_artifacts = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(make_artifacts)

# Limits of the machine that runs it, not rules of the format: the readable reader lays out no arena.
RUNTIME_ONLY = {"too_much_work_pool", "arena_too_large_plane"}


def test_golden_files_are_what_the_script_writes() -> None:
    assert (GOLDEN / "every_operator.edgeml").read_bytes() == write(every_operator())
    assert (GOLDEN / "sparse_layers.edgeml").read_bytes() == write(sparse_layers())
    written = {path.stem: path.read_bytes() for path in (GOLDEN / "artifact_errors").iterdir()}
    assert written == make_artifacts.hostile()


@pytest.mark.parametrize("path", sorted((GOLDEN / "artifact_errors").iterdir()), ids=lambda path: path.stem)
def test_both_readers_refuse(path: Path) -> None:
    with pytest.raises(ArtifactError):
        edgeml.InferenceSession(path)
    if path.stem not in RUNTIME_ONLY:
        with pytest.raises(ArtifactError):
            read(path.read_bytes())
