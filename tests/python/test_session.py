# SPDX-License-Identifier: Apache-2.0
"""InferenceSession through its public face: the evaluator's results on every level, a sentence for bad input."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import edgeml
from edgeml import _core
from edgeml.artifact import Artifact
from edgeml.artifact.evaluate import evaluate
from edgeml.errors import ArtifactError, EdgemlError, InputError, IsaError, UsageError
from support.child import ENVIRONMENT
from support.random_graph import random_graph
from support.small_artifact import INPUT_SHAPE, every_operator

INPUT = "t0"


@pytest.fixture(scope="module")
def artifact() -> Artifact:
    return Artifact.build(every_operator())


def samples(count: int, seed: int = 3) -> np.ndarray:
    x = np.random.default_rng(seed).standard_normal((count, *INPUT_SHAPE)).astype(np.float32) * 3
    x[0, 0, 0, :3] = [np.nan, np.inf, -np.inf]
    return x


@pytest.mark.parametrize("isa", _core.ISAS)
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_same_bits_as_the_evaluator(artifact: Artifact, isa: str, threads: int) -> None:
    session = edgeml.InferenceSession(artifact.to_bytes(), threads=threads, isa=isa)
    assert (session.isa, session.threads) == (isa, threads)
    for count in (1, 4, 1, 2):
        x = samples(count)
        expected = evaluate(artifact.graph, {INPUT: x})
        for spec, array in zip(session.get_outputs(), session.run(None, {INPUT: x}), strict=True):
            assert array.dtype == spec.dtype
            assert np.array_equal(array, expected[spec.name])


def test_fixed_batch_is_bound_and_checked() -> None:
    fixed = Artifact.build(every_operator(batch=2))
    session = edgeml.InferenceSession(fixed.to_bytes())
    assert session.get_inputs()[0].shape == [2, *INPUT_SHAPE]
    x = samples(2)
    assert np.array_equal(
        session.run(None, {INPUT: x})[0], evaluate(fixed.graph, {INPUT: x})[session.get_outputs()[0].name]
    )
    with pytest.raises(InputError, match=r"batch of 3, expected 2"):
        session.run(None, {INPUT: samples(3)})


def test_inputs_and_outputs_describe_themselves(artifact: Artifact) -> None:
    session = edgeml.InferenceSession(artifact.to_bytes())
    (spec,) = session.get_inputs()
    assert (spec.name, spec.shape, spec.type, spec.dtype) == (INPUT, ["N", *INPUT_SHAPE], "tensor(float)", np.float32)
    quantized = [s for s in session.get_outputs() if s.dtype == np.int8]
    assert quantized
    assert all(s.type == "tensor(int8)" and s.scale > 0 for s in quantized)


def test_outputs_by_name_and_feed_as_the_only_argument(artifact: Artifact) -> None:
    session = edgeml.InferenceSession(artifact.to_bytes())
    x = samples(2)
    names = [spec.name for spec in session.get_outputs()]
    everything = session.run({INPUT: x})
    for wanted in ([names[-1]], names[::-1]):
        for name, array in zip(wanted, session.run(wanted, {INPUT: x}), strict=True):
            assert np.array_equal(array, everything[names.index(name)])


def test_arrays_of_any_memory_layout(artifact: Artifact) -> None:
    session = edgeml.InferenceSession(artifact.to_bytes())
    x = samples(3)
    expected = session.run(None, {INPUT: x})[0]
    strided = np.asfortranarray(x)
    assert np.array_equal(session.run(None, {INPUT: strided})[0], expected)
    assert np.array_equal(session.run(None, {INPUT: x[::-1]})[0], session.run(None, {INPUT: x[::-1].copy()})[0])


@pytest.mark.parametrize(
    ("feed", "sentence"),
    [
        ({}, r"input 't0' is missing; the model takes 't0' \[N, 3, 7, 6\] float32"),
        ({"other": samples(1)}, "input 't0' is missing"),
        ({INPUT: samples(1), "other": samples(1)}, "no input 'other'"),
        (
            {INPUT: samples(1).astype(np.float64)},
            r"dtype float64, the model takes float32: pass x.astype\(numpy.float32\)",
        ),
        ({INPUT: samples(1)[0]}, r"shape \[3, 7, 6\], the model takes \[N, 3, 7, 6\]"),
        ({INPUT: samples(1)[:, :, :6]}, r"shape \[1, 3, 6, 6\], the model takes"),
        ({INPUT: samples(1)[:0]}, r"shape \[0, 3, 7, 6\], the model takes"),
    ],
)
def test_bad_feeds_get_a_sentence(artifact: Artifact, feed: dict[str, np.ndarray], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        edgeml.InferenceSession(artifact.to_bytes()).run(None, feed)


def test_unknown_output_and_missing_feed(artifact: Artifact) -> None:
    session = edgeml.InferenceSession(artifact.to_bytes())
    with pytest.raises(InputError, match="no output 'nope'; it has "):
        session.run(["nope"], {INPUT: samples(1)})
    with pytest.raises(InputError, match="no input arrays"):
        session.run(None)


def test_bad_options(artifact: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(IsaError):
        edgeml.InferenceSession(artifact.to_bytes(), isa="mmx")
    with pytest.raises(UsageError):
        edgeml.InferenceSession(artifact.to_bytes(), threads=-1)
    with pytest.raises(UsageError):
        edgeml.InferenceSession(artifact.to_bytes(), threads=100_000)
    monkeypatch.setenv("EDGEML_THREADS", "many")
    with pytest.raises(UsageError, match="EDGEML_THREADS is 'many'"):
        edgeml.InferenceSession(artifact.to_bytes())


def test_environment_chooses_level_and_threads(artifact: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEML_ISA", "ref")
    monkeypatch.setenv("EDGEML_THREADS", "2")
    session = edgeml.InferenceSession(artifact.to_bytes())
    assert (session.isa, session.threads) == ("ref", 2)
    monkeypatch.setenv("EDGEML_ISA", "neon" if _core.ISAS[0] not in ("neon", "neondot", "neoni8mm") else "avx2")
    with pytest.raises(IsaError):
        edgeml.InferenceSession(artifact.to_bytes())


def test_path_and_bytes_are_the_same_model(artifact: Artifact, tmp_path: Path) -> None:
    path = tmp_path / "model.edgeml"
    artifact.save(path)
    x = samples(2)
    from_path = edgeml.InferenceSession(path).run(None, {INPUT: x})
    path.unlink()
    for a, b in zip(from_path, edgeml.InferenceSession(artifact.to_bytes()).run(None, {INPUT: x}), strict=True):
        assert np.array_equal(a, b)
    with pytest.raises(ArtifactError, match="missing"):
        edgeml.InferenceSession(tmp_path / "missing.edgeml")


def test_every_truncation_and_every_flipped_header_byte_is_an_error(artifact: Artifact) -> None:
    data = artifact.to_bytes()
    for length in range(len(data)):
        with pytest.raises(ArtifactError):
            edgeml.InferenceSession(data[:length])
    for i in range(64):
        for bit in range(8):
            broken = bytearray(data)
            broken[i] ^= 1 << bit
            with pytest.raises(ArtifactError):
                edgeml.InferenceSession(bytes(broken))


def test_threads_share_a_session(artifact: Artifact) -> None:
    session = edgeml.InferenceSession(artifact.to_bytes(), threads=2)
    feeds = [samples(1 + i % 3, seed=i) for i in range(6)]
    expected = [session.run(None, {INPUT: x})[0] for x in feeds]
    wrong: list[int] = []

    def hammer(i: int) -> None:
        runs = (session.run(None, {INPUT: feeds[i]})[0] for _ in range(50))
        wrong.extend(i for result in runs if not np.array_equal(result, expected[i]))

    workers = [threading.Thread(target=hammer, args=(i,)) for i in range(len(feeds))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong


def test_import_loads_numpy_and_nothing_else() -> None:
    code = """
import sys, numpy
before = set(sys.modules)
import edgeml
ours = ("edgeml", "numpy", *sys.stdlib_module_names)
print(sorted(m for m in set(sys.modules) - before if m.split(".")[0] not in ours))
"""
    output = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, env=ENVIRONMENT)
    assert output.stdout.strip() == "[]"


@pytest.mark.parametrize("seed", range(60))
def test_random_graphs_equal_the_evaluator_on_every_level(seed: int) -> None:
    artifact = Artifact.build(random_graph(seed))
    shape = artifact.graph.tensors[artifact.graph.inputs[0]].dims[1:]
    x = np.random.default_rng(seed).normal(0, 2, (3, *shape)).astype(np.float32)
    expected = evaluate(artifact.graph, {INPUT: x})
    for isa in _core.ISAS:
        for threads in (1, 3):
            session = edgeml.InferenceSession(artifact.to_bytes(), isa=isa, threads=threads)
            for spec, array in zip(session.get_outputs(), session.run({INPUT: x}), strict=True):
                assert np.array_equal(array, expected[spec.name]), (isa, threads, spec.name)


def test_plan_is_the_same_on_every_level_and_thread_count(artifact: Artifact) -> None:
    plans = {
        edgeml.InferenceSession(artifact.to_bytes(), isa=isa, threads=threads)._core.plan_text()
        for isa in _core.ISAS
        for threads in (1, 4)
    }
    assert len(plans) == 1


def test_misaligned_arrays_are_copied(artifact: Artifact) -> None:
    session = edgeml.InferenceSession(artifact.to_bytes())
    x = samples(2)
    shifted = np.frombuffer(b"\0" + x.tobytes(), np.uint8)[1:].view(np.float32).reshape(x.shape)
    assert not shifted.flags.aligned
    assert np.array_equal(session.run({INPUT: shifted})[0], session.run({INPUT: x})[0])


def test_a_refused_batch_leaves_the_session_usable_by_others(artifact: Artifact) -> None:
    """Errors inside the lock must neither deadlock with the interpreter's lock nor unbind what others run."""
    session = edgeml.InferenceSession(artifact.to_bytes(), threads=2)
    x = {count: samples(count) for count in (1, 2, 3)}
    expected = {count: session.run({INPUT: x[count]}) for count in x}
    wrong: list[int] = []

    def call(count: int) -> None:
        for _ in range(40):
            with pytest.raises(EdgemlError):
                session._core.bind(1 << 30)
            session.profile({INPUT: x[count]}, runs=1)
            results = session.run({INPUT: x[count]})
            if not all(np.array_equal(a, b) for a, b in zip(results, expected[count], strict=True)):
                wrong.append(count)

    callers = [threading.Thread(target=call, args=(count,), daemon=True) for count in (1, 2, 3, 2)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(timeout=60)
    assert not any(caller.is_alive() for caller in callers), "deadlock"
    assert not wrong
