# SPDX-License-Identifier: Apache-2.0
"""The Observer against numpy: same value of every feature, same slot, for ordinary and for hostile numbers."""

from __future__ import annotations

import copy
import pickle
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeml import _core
from edgeml.errors import InputError, UsageError
from edgeml.observe import Feature, Observer, TelemetrySchema
from edgeml.observe.schema import LATENCY_EDGES

if TYPE_CHECKING:
    from numpy.typing import NDArray

Array = "NDArray[np.float32]"
NAN = np.float32(np.nan)
SPECIAL = [0.0, -0.0, 1e-45, -1e-45, 1e-38, 1.0, -1.0, 0.5, 3.4e38, -3.4e38, np.inf, -np.inf, np.nan, -np.nan]


def feature(name: str, source: str, tensor: str, kind: str, edges: tuple[float, ...], **more: float) -> Feature:
    return Feature(
        name=name,
        source=source,
        tensor=tensor,
        kind=kind,
        edges=edges,
        reference=(0,) * (len(edges) + 2),
        **more,  # type: ignore[arg-type]
    )


def latency() -> Feature:
    return feature("latency", "latency", "", "latency_us", LATENCY_EDGES)


def slots_by_numpy(values: NDArray[np.float32], edges: tuple[float, ...]) -> NDArray[np.int64]:
    """Section 1 of wire.md with searchsorted, in float64, where float32 values and edges are exact."""
    exact = np.asarray(edges, dtype=np.float64)
    wide = values.astype(np.float64)
    slots = 1 + np.searchsorted(exact, wide, side="right")
    slots[wide == exact[-1]] -= 1
    slots[np.isnan(wide)] = 0
    return np.bincount(slots, minlength=len(edges) + 2).astype(np.int64)


def lane_sum(values: NDArray[np.float64]) -> np.float64:
    lanes = np.zeros(8)
    for start in range(0, len(values), 8):
        row = values[start : start + 8]
        lanes[: len(row)] += row
    return ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6])) + ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7]))


def value_by_numpy(item: Feature, sample: NDArray[np.float32]) -> np.float32:  # noqa: PLR0911 - one a kind
    """The value of one sample [channels, ...] for one feature."""
    flat = sample.reshape(-1)
    if item.kind == "value":
        return flat[item.index]
    if item.kind.startswith("channel"):
        wide = sample[item.index].reshape(-1).astype(np.float64)
        mean = lane_sum(wide) / len(wide)
        if item.kind == "channel_mean":
            return np.float32(mean)
        if item.kind == "channel_std":
            return np.float32(np.sqrt(lane_sum((wide - mean) ** 2) / len(wide)))
        return np.float32(((wide <= item.lo) | (wide >= item.hi)).sum() / len(wide))
    if item.kind == "entropy":
        wide = flat.astype(np.float64)
        return np.float32(-sum((p * np.log(p) if p != 0 else 0.0) for p in wide))
    if np.isnan(flat).any():
        return NAN
    best = np.sort(flat)[::-1]
    if item.kind == "class":
        return np.float32(np.argmax(flat))
    return best[0] if item.kind == "confidence" else best[0] - best[1]


def counts_by_numpy(
    schema: TelemetrySchema, tensors: dict[str, NDArray[np.float32]], latency_us: float
) -> NDArray[np.int64]:
    parts = []
    samples = len(next(iter(tensors.values())))
    for item in schema.features:
        if item.source == "latency":
            values = np.full(samples, latency_us, dtype=np.float32)
        else:
            values = np.array([value_by_numpy(item, sample) for sample in tensors[item.tensor]], dtype=np.float32)
        parts.append(slots_by_numpy(values, item.edges))
    return np.concatenate(parts)


def counted(
    schema: TelemetrySchema, x: NDArray[np.float32], y: NDArray[np.float32], latency_us: float
) -> NDArray[np.int64]:
    observer = Observer(schema)
    observer.observe({"x": x}, {"y": y}, latency_us)
    return _core.reference_counts(observer.take())


EDGES = (-2.0, -0.5, -0.0, 0.25, 0.5, 0.75, 1.0)
EVERY_KIND = TelemetrySchema(
    samples=0,
    features=(
        feature("y/class", "output", "y", "class", (0.0, 1.0, 2.0, 3.0)),
        feature("x[5]", "input", "x", "value", EDGES, index=5),
        feature("y[0]", "output", "y", "value", EDGES, index=0),
        feature("x/clipped[2]", "input", "x", "channel_clipped", (0.0, 0.125, 0.5, 1.0), index=2, lo=-1.0, hi=1.0),
        feature("x/mean[2]", "input", "x", "channel_mean", EDGES, index=2),
        feature("x/mean[0]", "input", "x", "channel_mean", EDGES, index=0),
        latency(),
        feature("x/std[2]", "input", "x", "channel_std", (0.0, 0.5, 1.0, 2.0), index=2),
        feature("y/confidence", "output", "y", "confidence", EDGES),
        feature("y/margin", "output", "y", "margin", EDGES),
        feature("y/entropy", "output", "y", "entropy", (0.0, 0.5, 1.0, 1.5)),
    ),
)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("shape", [(1, 3, 2), (7, 3, 5, 4), (40, 4, 9), (3, 6), (0, 6)])
@pytest.mark.parametrize("seed", range(4))
def test_equals_numpy(shape: tuple[int, ...], seed: int) -> None:
    random = np.random.default_rng(seed)
    x = random.normal(size=shape).astype(np.float32)
    logits = random.normal(scale=3, size=(shape[0], 4)).astype(np.float32)
    y = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    if seed % 2:
        for array in (x, y):
            hits = random.random(array.shape) < 0.05
            array[hits] = random.choice(np.array(SPECIAL, dtype=np.float32), size=array.shape)[hits]
    latency_us = float(random.uniform(0, 2**25))
    expected = counts_by_numpy(EVERY_KIND, {"x": x, "y": y}, latency_us)
    assert counted(EVERY_KIND, x, y, latency_us).tolist() == expected.tolist()


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=2, max_size=40, unique=True),
    st.lists(st.floats(width=32), max_size=40),
)
def test_bins_equal_numpy_for_any_edges_and_values(edges: list[float], values: list[float]) -> None:
    ascending = tuple(sorted(set(edges)))
    if len(ascending) < 2:
        return
    schema = TelemetrySchema(samples=0, features=(feature("x", "input", "x", "value", ascending),))
    x = np.array([*values, *SPECIAL, *ascending], dtype=np.float32)
    for neighbour in (np.inf, -np.inf):
        x = np.concatenate([x, np.nextafter(np.array(ascending, dtype=np.float32), np.float32(neighbour))])
    observer = Observer(schema)
    observer.observe({"x": x}, {}, 0.0)
    assert _core.reference_counts(observer.take()).tolist() == slots_by_numpy(x, ascending).tolist()


def test_calls_add_up_and_take_starts_again() -> None:
    observer = Observer(EVERY_KIND)
    x = np.ones((2, 3, 4), dtype=np.float32)
    y = np.full((2, 4), 0.25, dtype=np.float32)
    for _ in range(3):
        observer.observe({"x": x, "unnamed": x}, {"y": y}, 5.0)
    counts = _core.reference_counts(observer.take())
    assert counts.dtype == np.int64
    assert counts.sum() == 6 * len(EVERY_KIND.features)
    assert not _core.reference_counts(observer.take()).any()


def test_counts_that_were_put_back_are_taken_again() -> None:
    observer = Observer(EVERY_KIND)
    x, y = np.ones((1, 3, 4), dtype=np.float32), np.full((1, 4), 0.25, dtype=np.float32)
    observer.observe({"x": x}, {"y": y}, 5.0)
    raw = observer.take()
    observer.observe({"x": x}, {"y": y}, 5.0)
    observer.put_back(raw)
    again = _core.reference_counts(observer.take())
    assert again.tolist() == (2 * _core.reference_counts(raw)).tolist()
    latency_only = Observer(TelemetrySchema(samples=0, features=(latency(),)))
    with pytest.raises(UsageError):
        latency_only.put_back(raw)


def test_a_view_that_is_not_contiguous_counts_as_its_copy() -> None:
    x = np.random.default_rng(0).normal(size=(3, 4, 6)).astype(np.float32).transpose(2, 1, 0)
    y = np.full((6, 4), 0.25, dtype=np.float32)
    assert counted(EVERY_KIND, x, y, 1.0).tolist() == counted(EVERY_KIND, x.copy(), y, 1.0).tolist()


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (np.zeros((1, 3, 2)), np.zeros((1, 4), np.float32), "'x' must be a float32"),
        (np.zeros((1, 3, 2), np.int8), np.zeros((1, 4), np.float32), "'x' must be a float32"),
        (np.zeros((1, 2, 9), np.float32), np.zeros((1, 4), np.float32), "2 channels"),
        (np.zeros((1, 3, 1), np.float32), np.zeros((1, 4), np.float32), "3 elements"),
        (np.zeros((2, 3, 2), np.float32), np.zeros((1, 4), np.float32), "samples"),
        (np.zeros((), np.float32), np.zeros((1, 4), np.float32), "channels|elements|batch"),
    ],
)
def test_refuses_other_arrays_and_counts_nothing(x: NDArray[np.float32], y: NDArray[np.float32], message: str) -> None:
    observer = Observer(EVERY_KIND)
    with pytest.raises(InputError, match=message):
        observer.observe({"x": x}, {"y": y}, 1.0)
    with pytest.raises(InputError, match="missing"):
        observer.observe({"x": x}, {}, 1.0)
    assert not _core.reference_counts(observer.take()).any()


def test_raw_counts_show_nothing() -> None:
    observer = Observer(EVERY_KIND)
    observer.observe({"x": np.ones((1, 3, 2), np.float32)}, {"y": np.full((1, 4), 0.25, np.float32)}, 77.0)
    raw = observer.take()
    assert not any(character.isdigit() for character in repr(raw) + str(raw))
    public = [name for name in dir(raw) if not name.startswith("_")]
    assert public == []
    for escape in (pickle.dumps, copy.copy, copy.deepcopy, bytes, list, int, float, memoryview, len, iter):
        with pytest.raises(TypeError):
            escape(raw)  # type: ignore[operator]
    with pytest.raises(TypeError):
        np.asarray(raw, dtype=np.int64)
    with pytest.raises(TypeError):
        _core.RawCounts()
    with pytest.raises(TypeError):
        _core.ReleasedCounts()
