# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from edgeml import InferenceSession, _core, layer_rates
from edgeml.artifact import Artifact
from edgeml.errors import UsageError
from edgeml.layer_rates import LayerRates
from support.sparse_artifact import INPUT_SHAPE, sparse_layers

SPARSE_IS_FREE = LayerRates(1, 1, 1e6, 1e6, 1e6, 0, 0)
SPARSE_IS_DEAR = LayerRates(1, 1e6, 1, 1, 1, 0, 1)
ISA = _core.ISAS[0]


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An artifact of sparse layers, on a machine without a file of rates."""
    monkeypatch.delenv(layer_rates.VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    path = tmp_path / "sparse.edgeml"
    Artifact.build(sparse_layers()).save(path)
    return path


def sparse_kernels(session: InferenceSession) -> int:
    x = np.zeros((1, *INPUT_SHAPE), np.float32)
    return sum("spmm" in node.kernel for node in session.profile({"t0": x}, runs=1))


def test_rates_move_the_choice_and_no_bit(model: Path, rng: np.random.Generator) -> None:
    x = rng.uniform(-4, 4, (1, *INPUT_SHAPE)).astype(np.float32)
    sessions = [InferenceSession(model, isa=ISA, rates={ISA: rates}) for rates in (SPARSE_IS_FREE, SPARSE_IS_DEAR)]
    assert sparse_kernels(sessions[0]) > sparse_kernels(sessions[1]) == 0
    for a, b in zip(sessions[0].run(None, {"t0": x}), sessions[1].run(None, {"t0": x}), strict=True):
        assert np.array_equal(a, b)


def test_file_is_found_where_it_is_named(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    by_default = sparse_kernels(InferenceSession(model, isa=ISA))
    assert by_default > 0
    dear, free = tmp_path / "dear.json", tmp_path / "free.json"
    layer_rates.save(dear, {ISA: SPARSE_IS_DEAR})
    layer_rates.save(free, {ISA: SPARSE_IS_FREE})
    layer_rates.save(layer_rates.default_path(), {ISA: SPARSE_IS_DEAR})
    assert sparse_kernels(InferenceSession(model, isa=ISA)) == 0
    monkeypatch.setenv(layer_rates.VARIABLE, str(free))
    assert sparse_kernels(InferenceSession(model, isa=ISA)) >= by_default
    assert sparse_kernels(InferenceSession(model, isa=ISA, rates=dear)) == 0
    assert sparse_kernels(InferenceSession(model, isa=ISA, rates={})) == by_default


def test_levels_that_were_measured_before_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "rates.json"
    layer_rates.save(path, {"avx2": SPARSE_IS_DEAR})
    layer_rates.save(path, {"ref": SPARSE_IS_FREE})
    assert layer_rates.load(path) == {"avx2": SPARSE_IS_DEAR, "ref": SPARSE_IS_FREE}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        "[" * 100_000,
        json.dumps({"format": 1, "levels": {"avx2": {**SPARSE_IS_DEAR._asdict(), "dense": 10**400}}}),
        '{"format": 2, "levels": {}}',
        '{"format": 1, "levels": {"avx2": {"dense": 1}}}',
        json.dumps({"format": 1, "levels": {"avx2": {**SPARSE_IS_DEAR._asdict(), "dense": 0}}}),
        json.dumps({"format": 1, "levels": {"avx2": {**SPARSE_IS_DEAR._asdict(), "lanes": float("nan")}}}),
        json.dumps({"format": 1, "levels": {"avx2": {**SPARSE_IS_DEAR._asdict(), "dense_output": -1}}}),
    ],
)
def test_other_files_are_named(model: Path, tmp_path: Path, text: str) -> None:
    path = tmp_path / "rates.json"
    path.write_text(text)
    with pytest.raises(UsageError, match=r"rates\.json holds no rates"):
        InferenceSession(model, rates=path)


def test_missing_file_is_named(model: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.json.*edgeml tune"):
        InferenceSession(model, rates=tmp_path / "none.json")


def test_measured_rates_are_rates() -> None:
    rates = layer_rates.measure(ISA)
    assert min(rates[:5]) > 0
    assert min(rates) >= 0
