# SPDX-License-Identifier: Apache-2.0
"""How close an artifact is to its float model on data: decisions, signal to noise, accuracy, anomaly scores."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgeml.artifact import Artifact
from edgeml.convert.artifact_run import run_artifact
from edgeml.convert.float_model import FloatModel
from edgeml.convert.progress import progress
from edgeml.errors import InputError, ModelFormatError
from edgeml.npz import select_inputs

Array = npt.NDArray[Any]
THRESHOLD: Final = 0.5  # of a single probability
FLOAT_BATCH: Final = 32


@dataclass(frozen=True, kw_only=True)
class OutputComparison:
    """One output. What does not apply is None: decisions need two or more classes or one probability, accuracies labels.

    sqnr_db: 10*log10(sum float^2 / sum (float - int8)^2), infinite where nothing differs. decisions_agree, accuracy: shares in
    0..1. mse and score_correlation: for an output that reconstructs the only input, the mean of the anomaly score (mean squared
    error of a sample) and the correlation of int8 and float scores.
    """

    name: str
    sqnr_db: float
    max_abs_difference: float
    decisions_agree: float | None = None
    accuracy: float | None = None
    accuracy_float: float | None = None
    auc: float | None = None
    auc_float: float | None = None
    mse: float | None = None
    mse_float: float | None = None
    score_correlation: float | None = None


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """All outputs over `samples` samples."""

    samples: int
    outputs: tuple[OutputComparison, ...]


def compare(artifact: Artifact, model: str | os.PathLike[str] | bytes, data: Mapping[str, Array]) -> Comparison:
    """Run both models on data: arrays by input name, or `x`; labels in `y`, one integer a sample, for the first output.

    Raises:
        ModelFormatError, CalibrationError: the model or an input is missing or unreadable.
        InputError: shapes or labels that do not fit, or an artifact with int8 inputs.
    """
    names = [artifact.graph.tensors[i].name for i in artifact.graph.inputs]
    feed = {name: array.astype(np.float32) for name, array in select_inputs(data, names).items()}
    _check_feed(artifact, feed)
    return compare_outputs(run_float(_read_model(model), feed), run_artifact(artifact, feed), feed, data.get("y"))


def compare_outputs(
    expected: Mapping[str, Array], actual: Mapping[str, Array], feed: Mapping[str, Array], y: Array | None
) -> Comparison:
    """Compare outputs by name of a float model and another one on the same inputs; y are labels for the first output.

    Raises:
        InputError: the names differ, or the labels do not fit.
    """
    samples = len(next(iter(feed.values())))
    if set(expected) != set(actual):
        raise InputError(
            f"the artifact has the outputs {sorted(actual)}, the model {sorted(expected)}; is it another model?"
        )
    labels = _labels(y, samples)
    only = next(iter(feed.values())) if len(feed) == 1 else None
    outputs = [
        _compare(name, expected[name], actual[name], labels if index == 0 else None, only)
        for index, name in enumerate(actual)
    ]
    return Comparison(samples=samples, outputs=tuple(outputs))


def _read_model(model: str | os.PathLike[str] | bytes) -> FloatModel:
    if isinstance(model, bytes):
        return FloatModel(model)
    try:
        return FloatModel(Path(model).read_bytes())
    except OSError as error:
        raise ModelFormatError(f"cannot read {os.fspath(model)}: {error.strerror}") from error


def _check_feed(artifact: Artifact, feed: Mapping[str, Array]) -> None:
    for index in artifact.graph.inputs:
        tensor = artifact.graph.tensors[index]
        if tensor.dtype != np.float32:
            raise InputError(
                f"input {tensor.name!r} of the artifact is {tensor.dtype}; compare one made with io='float32'"
            )
        array = feed[tensor.name]
        if array.shape[1:] != tensor.dims[1:] or not len(array) or len(array) % (tensor.dims[0] or 1):
            raise InputError(
                f"the data for input {tensor.name!r} has shape {array.shape}, the model takes {tensor.dims}"
            )


def run_float(model: FloatModel, feed: Mapping[str, Array]) -> dict[str, Array]:
    """Outputs of a float model by name, FLOAT_BATCH samples at a time or as many as it declares."""
    declared = next(iter(model.inputs.values()))[0]
    step = declared if isinstance(declared, int) else FLOAT_BATCH
    samples = len(next(iter(feed.values())))
    parts = []
    with progress("float model", samples) as advance:
        for begin in range(0, samples, step):
            parts.append(model.run({name: array[begin : begin + step] for name, array in feed.items()}))
            advance(step)
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _labels(labels: Array | None, samples: int) -> Array | None:
    if labels is not None and labels.shape != (samples,):
        raise InputError(f"the labels `y` have shape {labels.shape}, expected one a sample: ({samples},)")
    return labels


def _compare(name: str, expected: Array, actual: Array, labels: Array | None, source: Array | None) -> OutputComparison:
    difference = expected.astype(np.float64) - actual
    noise, signal = float((difference**2).sum()), float((expected.astype(np.float64) ** 2).sum())
    sqnr_db = math.inf if noise == 0 else 10 * math.log10(max(signal, math.ulp(0.0)) / noise)
    fields: dict[str, float] = {"sqnr_db": sqnr_db, "max_abs_difference": float(np.abs(difference).max())}
    if source is not None and expected.shape == source.shape:
        fields |= _anomaly_scores(source, expected, actual)
    elif expected.size == len(expected) or expected.ndim == 2:
        fields |= _decisions(expected.reshape(len(expected), -1), actual.reshape(len(actual), -1), labels)
    return OutputComparison(name=name, **fields)


def _anomaly_scores(source: Array, expected: Array, actual: Array) -> dict[str, float]:
    axes = tuple(range(1, source.ndim))
    scores = [((output.astype(np.float64) - source) ** 2).mean(axis=axes) for output in (actual, expected)]
    fields = {"mse": float(scores[0].mean()), "mse_float": float(scores[1].mean())}
    if all(score.std() > 0 for score in scores):
        fields["score_correlation"] = float(np.corrcoef(scores[0], scores[1])[0, 1])
    return fields


def _decisions(expected: Array, actual: Array, labels: Array | None) -> dict[str, float]:
    if expected.shape[1] == 1 and not (expected.min() >= 0 and expected.max() <= 1):
        return {}  # a regression takes no decision
    chosen, chosen_float = (_decide(output) for output in (actual, expected))
    fields = {"decisions_agree": float((chosen == chosen_float).mean())}
    if labels is not None:
        fields |= {
            "accuracy": float((chosen == labels).mean()),
            "accuracy_float": float((chosen_float == labels).mean()),
        }
        if expected.shape[1] <= 2 and set(np.unique(labels)) == {0, 1}:
            fields |= {"auc": auc(actual[:, -1], labels), "auc_float": auc(expected[:, -1], labels)}
    return fields


def _decide(output: Array) -> Array:
    decisions: Array = output[:, 0] > THRESHOLD if output.shape[1] == 1 else output.argmax(axis=1)
    return decisions


def auc(scores: Array, labels: Array) -> float:
    """Area under the ROC curve: the Mann-Whitney statistic with mean ranks for ties. Both classes must be there."""
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    positive = int((labels == 1).sum())
    statistic = ranks[labels == 1].sum() - positive * (positive + 1) / 2
    return float(statistic / (positive * (len(labels) - positive)))
