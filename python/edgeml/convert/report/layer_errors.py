# SPDX-License-Identifier: Apache-2.0
"""What each int8 activation of an artifact loses against its float twin, measured on samples."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgeml.artifact import Artifact
from edgeml.artifact import model as artifact_model
from edgeml.artifact.format import BORDERS_MAX
from edgeml.artifact.reader import read
from edgeml.convert.float_model import FloatModel, to_onnx
from edgeml.ir import Graph
from edgeml.session import InferenceSession

Array = npt.NDArray[Any]
SAMPLES: Final = 16  # enough for a decibel figure; every activation of every layer is looked at
BATCH: Final = 4  # samples at a time where the batch is free
HISTOGRAM_BINS: Final = 64  # of 4 neighbouring int8 values each


@dataclass(kw_only=True)
class LayerError:
    """Of one int8 activation, over all elements of all samples; `node` is the artifact's node that sets it."""

    node: str
    op: str
    tensor: str
    scale: float
    zero_point: int
    elements: int = 0
    signal: float = 0.0  # sum of squares of the float values
    noise: float = 0.0  # sum of squares of the differences
    product: float = 0.0  # sum of float value times int8's real value
    energy: float = 0.0  # sum of squares of int8's real values
    saturated: int = 0  # elements at -128 or 127 whose float value lies beyond by half a step or more
    histogram: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(HISTOGRAM_BINS, np.int64))

    @property
    def sqnr_db(self) -> float:
        """Signal-to-quantization-noise ratio in dB; infinite where nothing differs."""
        return math.inf if self.noise == 0 else 10 * math.log10(max(self.signal, math.ulp(0.0)) / self.noise)

    @property
    def cosine(self) -> float:
        """Cosine of the angle between the float and the int8 values; 1 where both are zero everywhere."""
        length = math.sqrt(self.signal * self.energy)
        return self.product / length if length > 0 else float(self.signal == self.energy)

    @property
    def saturated_share(self) -> float:
        """Share of elements that the 8-bit range cut off."""
        return self.saturated / max(1, self.elements)

    def add(self, expected: Array, actual: Array) -> None:
        """Count float values and the int8 values of the same samples."""
        reference = expected.astype(np.float64).ravel()
        real = (actual.astype(np.float64).ravel() - self.zero_point) * self.scale
        self.elements += reference.size
        self.signal += float(reference @ reference)
        self.noise += float(((reference - real) ** 2).sum())
        self.product += float(reference @ real)
        self.energy += float(real @ real)
        q = actual.ravel()
        beyond = np.abs(reference - real) >= self.scale / 2 * (1 + 1e-6)
        self.saturated += int((beyond & ((q == -128) | (q == 127))).sum())
        self.histogram += np.bincount((q.astype(np.int64) + 128) // (256 // HISTOGRAM_BINS), minlength=HISTOGRAM_BINS)


def measure_layer_errors(artifact: Artifact, graph: Graph, feed: Mapping[str, Array]) -> list[LayerError]:
    """One row per int8 activation that the float graph knows by name, in execution order.

    graph: the float graph that was quantized. feed: float32 arrays by input name; the first SAMPLES are used, or as many whole
    fixed batches as fit in them (one at least).
    """
    content = read(artifact.to_bytes())
    rows = _rows(content.graph, graph)
    step = graph.batch or BATCH
    samples = min(len(next(iter(feed.values()))), max(SAMPLES // step * step, step))
    batches = [{name: array[begin : begin + step] for name, array in feed.items()} for begin in range(0, samples, step)]
    for begin in range(0, len(rows), BORDERS_MAX):
        _measure(content, graph, batches, rows[begin : begin + BORDERS_MAX])
    return [row for _, row in rows]


def _rows(encoded: artifact_model.Graph, graph: Graph) -> list[tuple[int, LayerError]]:
    """Tensor index in the artifact and its row."""
    rows = []
    for node in encoded.nodes:
        for index in node.outputs:
            tensor = encoded.tensors[index]
            twin = tensor.name.removesuffix("/s8")
            if tensor.dtype != np.int8 or twin not in graph.tensors:
                continue
            row = LayerError(node=node.name, op=node.op, tensor=twin, scale=tensor.scale, zero_point=tensor.zero_point)
            rows.append((index, row))
    return rows


def _measure(
    content: artifact_model.Content,
    graph: Graph,
    batches: Sequence[Mapping[str, Array]],
    rows: Sequence[tuple[int, LayerError]],
) -> None:
    exposed = dataclasses.replace(content.graph, outputs=tuple(index for index, _ in rows))
    session = InferenceSession(Artifact.build(dataclasses.replace(content, graph=exposed)).to_bytes())
    takes_float = session.get_inputs()[0].dtype != np.int8
    made = [row.tensor for _, row in rows if row.tensor not in graph.inputs]
    float_model = FloatModel(to_onnx(graph, made)) if made else None
    for batch in batches:
        expected = {**batch, **(float_model.run(batch) if float_model is not None else {})}
        source = batch if takes_float else _quantized(content.graph, batch)
        for (_, row), actual in zip(rows, session.run(None, source), strict=True):
            row.add(expected[row.tensor], actual)


def _quantized(encoded: artifact_model.Graph, batch: Mapping[str, Array]) -> dict[str, Array]:
    """Samples for an artifact with int8 inputs: round(x / scale) + zero point."""
    inputs = [encoded.tensors[index] for index in encoded.inputs]
    return {
        tensor.name: np.clip(
            np.rint(batch[tensor.name] / np.float32(tensor.scale)) + tensor.zero_point, -128, 127
        ).astype(np.int8)
        for tensor in inputs
    }
