# SPDX-License-Identifier: Apache-2.0
"""How far the channels of a model are equalized: tried on a part of the calibration data, measured at the outputs on another part.

Equalization helps activations and can harm weights, most of all those that lie on a grid of integers already.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgeml.artifact import Artifact
from edgeml.artifact.model import Content
from edgeml.convert.calibration import CalibrationData, calibrate
from edgeml.convert.encoding import encode
from edgeml.convert.equalization import channel_peaks, equalize
from edgeml.convert.float_model import FloatModel, to_onnx
from edgeml.convert.options import ConvertOptions
from edgeml.convert.passes.eliminate_dead import eliminate_dead
from edgeml.convert.progress import progress
from edgeml.convert.quantization import quantize
from edgeml.ir import Graph
from edgeml.session import InferenceSession

Array = npt.NDArray[Any]
SAMPLES_MAX: Final = 24  # of each part
MARGIN: Final = 0.05  # of the least error: a weaker equalization that is no worse than that is taken
_FINAL: Final = ("Softmax", "Sigmoid", "Concat", "Reshape", "Transpose")


def most_accurate(graph: Graph, data: CalibrationData, options: ConvertOptions) -> Graph:
    """The graph equalized with the weakest strength of the options whose error is the least, within MARGIN."""
    strengths = options.equalizations
    if strengths == (0.0,):
        return graph
    peaks = channel_peaks(graph, data)
    bare = before_shares(graph)
    scale_inputs = options.io == "float32" and not options.int8_only
    candidates = [equalize(graph, peaks, strength, scale_inputs=scale_inputs) for strength in strengths]
    if len(candidates) == 1:
        return candidates[0]
    count = min(SAMPLES_MAX, data.samples // 2)
    fitted, measured = data.some(count), data.some(count, offset=1)
    errors = []
    with progress("equalizing", len(candidates)) as advance:
        for candidate in map(before_shares, candidates):
            quantized = quantize(candidate, calibrate(candidate, fitted), fitted, options)
            errors.append(output_error(quantized, bare, measured))
            advance(1)
    enough = (1 + MARGIN) * min(errors)
    return next(one for one, error in zip(candidates, errors, strict=True) if error <= enough)


def before_shares(graph: Graph) -> Graph:
    """The graph that ends before its last softmaxes and sigmoids: where these saturate, their outputs say little."""
    producers = {name: node for node in graph.nodes for name in node.outputs}
    found: dict[str, None] = {}
    pending = list(graph.outputs)
    reached: set[str] = set()
    while pending:
        name = pending.pop(0)
        if name in reached:  # a tensor on many paths is followed once
            continue
        reached.add(name)
        node = producers.get(name)
        if node is not None and node.op in _FINAL:
            pending += [source for source in node.inputs if source and graph.constant(source) is None]
        elif name not in graph.inputs:
            found[name] = None
    return eliminate_dead(dataclasses.replace(graph, outputs=tuple(found))) if found else graph


def output_error(quantized: Graph, graph: Graph, data: CalibrationData) -> float:
    """Squared error over all outputs of a quantized graph against the float one, each as a share of the output's energy."""
    session = InferenceSession(Artifact.build(Content(encode(quantized), {}, None)).to_bytes())
    model = FloatModel(to_onnx(graph, list(graph.outputs)))
    specs = session.get_outputs()
    noise, signal = np.zeros(len(specs)), np.zeros(len(specs))
    scales = [spec.scale for spec in session.get_inputs()]
    for feed in data.batches(graph.batch or 4):
        source = feed if not any(scales) else _as_int8(session, feed)
        for i, (actual, expected) in enumerate(zip(session.run(None, source), model.run(feed).values(), strict=True)):
            real = actual if not specs[i].scale else (actual.astype(np.float64) - specs[i].zero_point) * specs[i].scale
            noise[i] += float(((real.astype(np.float64) - expected) ** 2).sum())
            signal[i] += float((expected.astype(np.float64) ** 2).sum())
    return float((noise / np.maximum(signal, np.finfo(np.float64).tiny)).sum())


def _as_int8(session: InferenceSession, feed: dict[str, Array]) -> dict[str, Array]:
    return {
        spec.name: np.clip(np.rint(feed[spec.name] / np.float32(spec.scale)) + spec.zero_point, -128, 127).astype(
            np.int8
        )
        for spec in session.get_inputs()
    }
