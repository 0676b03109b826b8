# SPDX-License-Identifier: Apache-2.0
"""Calibration data, and what a float graph does on it: range, histogram and channel means of every activation.

Activations are looked at batch by batch and never kept: one pass for the ranges, one for the histograms.
"""

from __future__ import annotations

import copy
import hashlib
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgeml.convert.float_model import FloatModel, to_onnx
from edgeml.convert.progress import progress
from edgeml.errors import CalibrationError, InputError
from edgeml.ir import Graph
from edgeml.npz import read_npz, select_inputs

Array = npt.NDArray[Any]
CalibrationSource = str | os.PathLike[str] | Mapping[str, Array] | Iterable[Mapping[str, Array]]
CALIBRATION_SAMPLES_MIN: Final = 10
HISTOGRAM_BINS: Final = 2048
BATCH_BYTES_MAX: Final = 64 * 2**20  # of the activations of one batch


class CalibrationData:
    """Float32 samples by input name, checked against the graph's inputs."""

    def __init__(self, source: CalibrationSource, graph: Graph) -> None:
        """Read and check.

        Raises:
            CalibrationError: unreadable, an input missing or of another shape, too few samples, values that are not finite, or
                an input that never changes.
        """
        self._arrays = {name: _joined(name, parts) for name, parts in _read(source, graph).items()}
        counts = {name: len(array) for name, array in self._arrays.items()}
        self.samples = min(counts.values())
        if max(counts.values()) != self.samples:
            raise CalibrationError(f"the calibration inputs have different numbers of samples: {counts}")
        for name, array in self._arrays.items():
            _check(name, array, graph.tensors[name].shape)
        self._step = graph.batch or 1
        self.samples -= self.samples % self._step
        if self.samples < CALIBRATION_SAMPLES_MIN:
            raise CalibrationError(
                f"{self.samples} calibration samples are too few; give at least {CALIBRATION_SAMPLES_MIN}"
            )

    @property
    def sha256(self) -> str:
        """Hex hash over names, shapes and float32 values of the inputs."""
        digest = hashlib.sha256()
        for name, array in sorted(self._arrays.items()):
            digest.update(f"{name} {array.shape}\n".encode())
            digest.update(np.ascontiguousarray(array, dtype="<f4").tobytes())
        return digest.hexdigest()

    def arrays(self) -> dict[str, Array]:
        """All samples by input name."""
        return {name: array[: self.samples] for name, array in self._arrays.items()}

    def some(self, count: int, offset: int = 0) -> CalibrationData:
        """At most `count` samples, spread evenly; whole batches of a fixed batch. With another offset, others if there are any.

        offset: 0 or 1; with up to half of all samples the two selections have none in common.
        """
        batches = self.samples // self._step
        wanted = max(1, min(batches, count // self._step))
        chosen = np.minimum(np.arange(wanted) * batches // wanted + offset * (batches // wanted // 2), batches - 1)
        every = (chosen[:, None] * self._step + np.arange(self._step)).reshape(-1)
        part = copy.copy(self)
        part._arrays = {name: array[every] for name, array in self._arrays.items()}  # noqa: SLF001 (of this class)
        part.samples = len(every)
        return part

    def batches(self, size: int) -> Iterator[dict[str, Array]]:
        """All samples in order, `size` at a time."""
        for begin in range(0, self.samples, size):
            yield {name: array[begin : min(begin + size, self.samples)] for name, array in self._arrays.items()}


def _read(source: CalibrationSource, graph: Graph) -> dict[str, list[Array]]:
    if isinstance(source, (str, os.PathLike)):
        if Path(source).is_dir():
            return _read(_folder(Path(source), graph), graph)
        try:
            source = read_npz(source)
        except InputError as error:
            raise CalibrationError(str(error)) from error
    batches = [source] if isinstance(source, Mapping) else list(source)
    parts: dict[str, list[Array]] = {name: [] for name in graph.inputs}
    for batch in batches:
        if not isinstance(batch, Mapping):
            raise CalibrationError(f"calibration batches are dicts of arrays by input name, not {type(batch).__name__}")
        try:
            feed = select_inputs(batch, graph.inputs)
        except InputError as error:
            raise CalibrationError(f"calibration: {error}") from error
        for name, array in feed.items():
            parts[name].append(np.asarray(array))
    if not batches:
        raise CalibrationError("there are no calibration batches; was the iterator used up before?")
    return parts


def _folder(folder: Path, graph: Graph) -> Iterator[dict[str, Array]]:
    """The files of a folder in the order of their names: a batch each, or one sample where the batch axis is missing."""
    try:
        files = sorted(path for path in folder.iterdir() if path.suffix in (".npy", ".npz"))
    except OSError as error:
        raise CalibrationError(f"calibration: cannot read {folder}: {error.strerror}") from error
    if not files:
        raise CalibrationError(f"{folder} has no .npy or .npz file; put one array or more into it")
    for path in files:
        try:
            if path.suffix == ".npz":
                arrays = select_inputs(read_npz(path), graph.inputs, path)
            elif len(graph.inputs) == 1:
                array = np.load(path, allow_pickle=False)
                if not isinstance(array, np.ndarray):
                    raise CalibrationError(f"{path} is an archive of arrays, not one array; name it .npz")
                arrays = {graph.inputs[0]: array}
            else:
                raise CalibrationError(
                    f"{path} is one array, the model has {len(graph.inputs)} inputs; write .npz files"
                )
        except (InputError, OSError, ValueError, EOFError) as error:
            raise CalibrationError(f"calibration: {path}: {error}") from error
        yield {
            name: array[None] if array.ndim == len(graph.tensors[name].shape) - 1 else array
            for name, array in arrays.items()
        }


def _joined(name: str, parts: Sequence[Array]) -> Array:
    if any(part.dtype.kind not in "fiub" for part in parts):
        raise CalibrationError(f"the array for input {name!r} is not numeric")
    if any(part.ndim == 0 for part in parts):
        raise CalibrationError(f"the array for input {name!r} is a scalar; its shape begins with the number of samples")
    try:
        return np.concatenate([np.asarray(part, dtype=np.float32) for part in parts])
    except ValueError as error:
        raise CalibrationError(f"the batches for input {name!r} do not fit together: {error}") from error


def _check(name: str, array: Array, shape: tuple[int, ...]) -> None:
    if array.shape[1:] != shape[1:]:
        raise CalibrationError(
            f"the data for input {name!r} has samples of shape {array.shape[1:]}, the model takes {shape[1:]}; prepare it as "
            "for the model in float"
        )
    finite = np.isfinite(array)
    if not np.all(finite):
        sample = int(np.argwhere(~finite)[0][0])
        raise CalibrationError(f"the data for input {name!r} has NaN or infinity, first in sample {sample}; remove it")
    if array.size and array.min() == array.max():
        raise CalibrationError(f"the data for input {name!r} is {array.flat[0]} everywhere; give real samples")


@dataclass
class Statistics:
    """Of one activation: least and largest value, counts in equal bins between them, means along axis 1 and the last."""

    low: float
    high: float
    histogram: npt.NDArray[np.int64]
    channel_mean: npt.NDArray[np.float64]
    last_axis_mean: npt.NDArray[np.float64]


def calibrate(graph: Graph, data: CalibrationData) -> dict[str, Statistics]:
    """Run a float graph on the data; statistics of every activation by name.

    Raises:
        CalibrationError: an activation is not finite.
    """
    names = [n for n, tensor in graph.tensors.items() if tensor.data is None and tensor.dtype == np.float32]
    made = [name for name in names if name not in graph.inputs]
    model = FloatModel(to_onnx(graph, made))
    per_sample = sum(4 * math.prod(graph.tensors[name].shape[1:]) for name in names)
    size = graph.batch or max(1, min(data.samples, BATCH_BYTES_MAX // per_sample))
    statistics: dict[str, Statistics] = {}
    with progress("calibrating", 2 * data.samples) as advance:
        for feed in data.batches(size):
            for name, values in (feed | model.run(feed)).items():
                _add_range(statistics, name, values)
            advance(size)
        for one in statistics.values():
            one.channel_mean /= data.samples
            one.last_axis_mean /= data.samples
        for feed in data.batches(size):
            for name, values in (feed | model.run(feed)).items():
                statistics[name].histogram += _histogram(values, statistics[name])
            advance(size)
    return statistics


def _add_range(statistics: dict[str, Statistics], name: str, values: Array) -> None:
    low, high = float(values.min()), float(values.max())
    if not (math.isfinite(low) and math.isfinite(high)):
        raise CalibrationError(
            f"activation {name!r} is not finite on the calibration data; check the model and the data"
        )
    means, last_means = (_means(values, axis) for axis in (min(1, values.ndim - 1), values.ndim - 1))
    one = statistics.get(name)
    if one is None:
        statistics[name] = Statistics(low, high, np.zeros(HISTOGRAM_BINS, np.int64), means, last_means)
        return
    one.low, one.high = min(one.low, low), max(one.high, high)
    one.channel_mean += means
    one.last_axis_mean += last_means


def _means(values: Array, axis: int) -> npt.NDArray[np.float64]:
    """Means along an axis, summed over samples; divided by their number at the end."""
    others = tuple(i for i in range(values.ndim) if i != axis)
    scale = len(values) / max(1, math.prod(values.shape[i] for i in others))
    sums: npt.NDArray[np.float64] = values.sum(axis=others, dtype=np.float64) * scale
    return sums


def _histogram(values: Array, one: Statistics) -> npt.NDArray[np.int64]:
    width = one.high - one.low
    if width <= 0:
        return np.bincount([0], weights=[values.size], minlength=HISTOGRAM_BINS).astype(np.int64)
    bins = ((values.ravel() - np.float32(one.low)) * np.float32(HISTOGRAM_BINS / width)).astype(np.int32)
    return np.bincount(np.clip(bins, 0, HISTOGRAM_BINS - 1), minlength=HISTOGRAM_BINS)
