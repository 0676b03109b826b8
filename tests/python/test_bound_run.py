# SPDX-License-Identifier: Apache-2.0
"""`session.bind`: the results of run(), no allocation in a call, a sentence for every array that cannot be used in place."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import tracemalloc

import numpy as np
import pytest

import edgeml
from edgeml.artifact import Artifact
from edgeml.errors import InputError
from support.child import ENVIRONMENT
from support.small_artifact import INPUT_SHAPE, every_operator

INPUT = "t0"
Arrays = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def artifact() -> Artifact:
    return Artifact.build(every_operator())


@pytest.fixture
def session(artifact: Artifact) -> edgeml.InferenceSession:
    return edgeml.InferenceSession(artifact.to_bytes())


def samples(count: int, seed: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 3, (count, *INPUT_SHAPE)).astype(np.float32)


def outputs_for(session: edgeml.InferenceSession, batch: int) -> Arrays:
    return {s.name: np.empty((batch, *s.shape[1:]), s.dtype) for s in session.get_outputs()}


def test_results_are_those_of_run_and_follow_the_arrays(session: edgeml.InferenceSession) -> None:
    x, y = np.empty((2, *INPUT_SHAPE), np.float32), outputs_for(session, 2)
    bound = session.bind({INPUT: x}, y)
    for seed in range(3):
        x[:] = samples(2, seed)
        assert bound() is None
        session.run(None, {INPUT: samples(5, seed)})  # another batch in between
        for name, array in zip(y, session.run(None, {INPUT: x}), strict=True):
            assert np.array_equal(y[name], array)
    assert bound.inputs[INPUT] is x
    assert all(bound.outputs[name] is y[name] for name in y)


def test_makes_its_own_outputs_and_keeps_all_arrays_alive(session: edgeml.InferenceSession) -> None:
    x = samples(1)
    expected = session.run(None, {INPUT: x})
    bound = session.bind({INPUT: x})
    del x, session
    gc.collect()
    bound()
    for array, other in zip(bound.outputs.values(), expected, strict=True):
        assert np.array_equal(array, other)


def test_a_call_allocates_nothing_in_python(session: edgeml.InferenceSession) -> None:
    bound = session.bind({INPUT: samples(1)})
    for _ in range(100):
        bound()  # the first calls time themselves
    tracemalloc.start()
    try:
        tracemalloc.clear_traces()
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        bound()
        now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # The two tuples of this test's own calls are all that may show.
    assert now - before <= 200
    assert peak - before <= 200


MALLOC_COUNT = """
import ctypes, sys
import numpy as np
import edgeml

class Info(ctypes.Structure):
    _fields_ = [(n, ctypes.c_size_t) for n in
                "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()]

mallinfo2 = ctypes.CDLL(None).mallinfo2
mallinfo2.restype = Info
session = edgeml.InferenceSession(sys.stdin.buffer.read(), threads=int(sys.argv[1]))
bound = session.bind({s.name: np.ones([n if n != "N" else 1 for n in s.shape], s.dtype) for s in session.get_inputs()})
for _ in range(100):
    bound()
before = mallinfo2()
for _ in range(1000):
    bound()
after = mallinfo2()
print(after.uordblks - before.uordblks, after.hblkhd - before.hblkhd)
"""


@pytest.mark.parametrize("threads", [1, 3])
def test_calls_leave_the_heap_as_it_was(artifact: Artifact, threads: int) -> None:
    """The C++ side is counted call by call in execute_allocation_test.cpp; here the whole process, 1000 calls."""
    child = subprocess.run(
        [sys.executable, "-c", MALLOC_COUNT, str(threads)],
        input=artifact.to_bytes(),
        capture_output=True,
        check=True,
        env=ENVIRONMENT,
    )
    kept, mapped = (int(word) for word in child.stdout.split())
    assert kept < 1000  # less than a byte a call: what mallinfo2's own result takes
    assert mapped == 0


def misaligned(shape: tuple[int, ...]) -> np.ndarray:
    return np.zeros(4 * int(np.prod(shape)) + 1, np.uint8)[1:].view(np.float32).reshape(shape)


@pytest.mark.parametrize(
    ("x", "sentence"),
    [
        (samples(2)[::-1], "input 't0' is not contiguous in C order and aligned: bind numpy.ascontiguousarray"),
        (np.asfortranarray(samples(2)), "input 't0' is not contiguous"),
        (misaligned((2, *INPUT_SHAPE)), "input 't0' is not contiguous in C order and aligned"),
        (samples(2).astype(np.float64), "input 't0' has dtype float64, the model takes float32"),
        (samples(2).astype(">f4"), "input 't0' has dtype >f4, the model takes float32"),
        (samples(2)[0], r"input 't0' has shape \[3, 7, 6\], the model takes"),
        (samples(2).tolist(), "input 't0' is a list, bind\\(\\) takes NumPy arrays"),
    ],
)
def test_inputs_that_cannot_be_used_in_place(session: edgeml.InferenceSession, x: np.ndarray, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        session.bind({INPUT: x})


def test_names_that_the_model_does_not_have(session: edgeml.InferenceSession) -> None:
    x, y = samples(1), outputs_for(session, 1)
    with pytest.raises(InputError, match="input 't0' is missing; the model takes"):
        session.bind({})
    with pytest.raises(InputError, match="the model has no output 'other'; the model gives"):
        session.bind({INPUT: x}, y | {"other": x})
    name = next(iter(y))
    with pytest.raises(InputError, match=f"output '{name}' is missing"):
        session.bind({INPUT: x}, {n: a for n, a in y.items() if n != name})


def test_outputs_that_cannot_be_written(session: edgeml.InferenceSession) -> None:
    x, y = samples(2), outputs_for(session, 2)
    name = next(iter(y))
    read_only = np.empty_like(y[name])
    read_only.flags.writeable = False
    bad = {
        "is read-only": read_only,
        "has a batch of 3, expected 2": np.empty((3, *y[name].shape[1:]), y[name].dtype),
        "has dtype complex128, the model gives": y[name].astype(np.complex128),
        "is not contiguous": np.empty((4, *y[name].shape[1:]), y[name].dtype)[::2],
    }
    for sentence, array in bad.items():
        with pytest.raises(InputError, match=sentence):
            session.bind({INPUT: x}, y | {name: array})


def test_arrays_that_share_memory(session: edgeml.InferenceSession) -> None:
    y = outputs_for(session, 1)
    block = np.zeros(1 << 16, np.float32)
    x = block[: int(np.prod(INPUT_SHAPE))].reshape(1, *INPUT_SHAPE)
    x_bytes = block.view(np.uint8)[: x.nbytes + 1024]
    for spec in session.get_outputs():
        array = y[spec.name]
        start = x.nbytes - array.dtype.itemsize  # the last element of the input
        overlapping = x_bytes[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
        with pytest.raises(InputError, match=f"output '{spec.name}' shares memory"):
            session.bind({INPUT: x}, y | {spec.name: overlapping})
        after = block.view(np.uint8)[x.nbytes : x.nbytes + array.nbytes].view(array.dtype).reshape(array.shape)
        session.bind({INPUT: x}, y | {spec.name: after})()  # next to each other is fine


def test_arrays_that_change_under_a_bound_run(artifact: Artifact) -> None:
    session = edgeml.InferenceSession(artifact.to_bytes())
    for change in ("resize", "shape", "read-only"):
        x, y = samples(1), outputs_for(session, 1)
        bound = session.bind({INPUT: x}, y)
        bound()
        if change == "resize":
            x.resize((64, *INPUT_SHAPE), refcheck=False)  # moves the memory
        elif change == "shape":
            x.shape = (1, INPUT_SHAPE[0], INPUT_SHAPE[1] * INPUT_SHAPE[2], 1)
        else:
            next(iter(y.values())).flags.writeable = False
        with pytest.raises(InputError, match=r"resized, retyped or made read-only since; bind\(\) again"):
            bound()


def test_native_objects_made_without_init_and_wrong_lists(session: edgeml.InferenceSession) -> None:
    core = session._core
    with pytest.raises(TypeError):
        type(core).__new__(type(core)).run({})
    bound = type(session.bind({INPUT: samples(1)}))
    with pytest.raises(TypeError):
        bound.__new__(bound)()
    for inputs in ([], [None], [1], [samples(1)[::-1, :, ::-1]], [samples(1), samples(1)]):
        with pytest.raises(InputError):
            core.bind_arrays(inputs, list(outputs_for(session, 1).values()))
    with pytest.raises(InputError):
        core.bind_arrays([samples(2)], list(outputs_for(session, 1).values()))


def test_two_threads_at_once(artifact: Artifact) -> None:
    session = edgeml.InferenceSession(artifact.to_bytes(), threads=2)
    bound = [session.bind({INPUT: samples(1 + i % 2, seed=i)}) for i in range(4)]
    expected = [session.run(None, b.inputs) for b in bound]
    wrong: list[int] = []

    def hammer(i: int) -> None:
        for _ in range(200):
            bound[i]()
            results = bound[i].outputs.values()
            wrong.extend(i for a, b in zip(results, expected[i], strict=True) if not np.array_equal(a, b))

    workers = [threading.Thread(target=hammer, args=(i,), daemon=True) for i in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(timeout=60)
    assert not any(worker.is_alive() for worker in workers), "deadlock"
    assert not wrong


FORK = """
import os, sys, threading
import numpy as np
import edgeml
session = edgeml.InferenceSession(sys.stdin.buffer.read(), threads=int(sys.argv[1]))
feed = {s.name: np.ones([n if n != "N" else 64 for n in s.shape], s.dtype) for s in session.get_inputs()}
bound = session.bind(feed)
expected = [a.tobytes() for a in session.run(None, feed)]
busy = sys.argv[2] == "busy"
if busy:
    def forever():
        while True:
            session.run(None, feed)
    threading.Thread(target=forever, daemon=True).start()
for _ in range(5):
    pid = os.fork()
    if pid == 0:
        try:
            bound()
            same = [a.tobytes() for a in session.run(None, feed)] == expected
            del bound, session
            os._exit(0 if same else 1)
        except edgeml.errors.EdgemlError as error:
            os._exit(2 if busy and "when the process forked" in str(error) else 3)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
os._exit(0) if busy else None
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("state", ["idle", "busy"])
def test_a_forked_child_works_or_says_why_not(artifact: Artifact, threads: int, state: str) -> None:
    child = subprocess.run(
        [sys.executable, "-u", "-W", "ignore", "-c", FORK, str(threads), state],
        input=artifact.to_bytes(),
        capture_output=True,
        check=True,
        timeout=60,
        env=ENVIRONMENT,
    )
    assert set(child.stdout.split()) <= ({b"0"} if state == "idle" else {b"0", b"2"})
    assert len(child.stdout.split()) == 5
