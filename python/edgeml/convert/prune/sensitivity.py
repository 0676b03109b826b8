# SPDX-License-Identifier: Apache-2.0
"""What pruning a layer does to the network's outputs, measured at a few densities and drawn out over all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgeml.convert.prune.activations import batch_size, run_tensors
from edgeml.ir import Graph

Array = npt.NDArray[Any]
SAMPLES_MAX: Final = 64  # for one figure a layer; every measurement runs the whole network
_LOSS_MIN: Final = 1e-9  # below float32 noise


class OutputLoss:
    """Mean squared difference of a network's outputs, relative to their variance over samples; summed over outputs.

    A Softmax at an output is left out: its input says more.
    """

    def __init__(self, graph: Graph, feed: Mapping[str, Array]) -> None:
        samples = min(SAMPLES_MAX, len(next(iter(feed.values()))))
        samples -= samples % (graph.batch or 1)
        self._feed = {name: array[: max(samples, graph.batch)] for name, array in feed.items()}
        self._size = batch_size(graph, samples)
        softmaxes = {node.output: node.inputs[0] for node in graph.nodes if node.op == "Softmax"}
        self._names = [softmaxes.get(name, name) for name in graph.outputs]
        self._expected = self._outputs(graph)

    def _outputs(self, graph: Graph) -> list[Array]:
        batches = list(run_tensors(graph, self._names, self._feed, self._size))
        return [np.concatenate([batch[name] for batch in batches]).astype(np.float64) for name in self._names]

    def __call__(self, graph: Graph) -> float:
        """The loss of a graph with other weights."""
        total = 0.0
        for expected, actual in zip(self._expected, self._outputs(graph), strict=True):
            variance = float(((expected - expected.mean(axis=0)) ** 2).mean())
            total += float(((expected - actual) ** 2).mean()) / max(variance, 1e-12)
        return total


def loss_curve(errors: Array, measured_at: Sequence[int], measured: Sequence[float]) -> Array:
    """The loss after every number of removals [n], from the layer's squared errors [n] and some measured losses.

    Between and beyond the measurements the loss is a power of the layer's error; it never falls.
    """
    points = [(errors[i], max(loss, _LOSS_MIN)) for i, loss in zip(measured_at, measured, strict=True) if errors[i] > 0]
    if not points:
        return np.zeros_like(errors)
    x, y = (np.log(np.array(side)) for side in zip(*points, strict=True))
    keep = np.concatenate([[True], np.diff(x) > 1e-6])
    x, y = x[keep], np.maximum.accumulate(y[keep])
    slopes = np.diff(y) / np.diff(x) if len(x) > 1 else np.ones(1)
    slopes = np.clip(slopes, 0.25, 4.0)
    at = np.log(np.maximum(errors, np.exp(x[0]) * 1e-12))
    curve = np.interp(at, x, y)
    curve = np.where(at < x[0], y[0] + slopes[0] * (at - x[0]), curve)
    curve = np.where(at > x[-1], y[-1] + slopes[-1] * (at - x[-1]), curve)
    return np.where(errors > 0, np.exp(curve), 0.0)
