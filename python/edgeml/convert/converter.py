# SPDX-License-Identifier: Apache-2.0
"""`convert`: the story of a conversion from top to bottom."""

from __future__ import annotations

import dataclasses
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgeml import __version__
from edgeml.artifact import Artifact
from edgeml.artifact.evaluate import evaluate
from edgeml.artifact.model import Content, Graph
from edgeml.convert.calibration import CalibrationData, CalibrationSource, calibrate
from edgeml.convert.encoding import count_macs, encode
from edgeml.convert.onnx_importer import ImportedModel, ModelSource, import_onnx
from edgeml.convert.ops import check_supported
from edgeml.convert.options import ConvertOptions, Io
from edgeml.convert.passes import run_passes
from edgeml.convert.progress import progress
from edgeml.convert.quantization import quantize
from edgeml.convert.telemetry import build_schema

Array = npt.NDArray[Any]
RUN_BATCH: Final = 8  # samples that the artifact runs at a time


def convert(
    model: ModelSource,
    *,
    calibration: CalibrationSource,
    options: ConvertOptions | None = None,
    io: Io | None = None,
) -> Artifact:
    """Turn a float ONNX model and real inputs into an int8 artifact.

    model: path, bytes or ModelProto, float32 inputs, opset 7 or newer. calibration: path of an .npz, dict of arrays by input
    name, or iterable of such dicts (batches); arrays as the model takes them, at least 10 samples; `x` may name a single input.
    io, if given, takes the place of options.io. The same model, data and options give the same bytes.

    An artifact with float32 inputs and outputs carries a telemetry schema; its reference counts are those of the artifact itself
    on the calibration data.

    Raises:
        ModelFormatError, UnsupportedOperatorError, CalibrationError, ConversionError: the message says what to change.
    """
    options = options or ConvertOptions()
    if io is not None:
        options = dataclasses.replace(options, io=io)
    imported = import_onnx(model)
    graph = run_passes(imported.graph)
    check_supported(graph)
    data = CalibrationData(calibration, graph)
    statistics = calibrate(graph, data)
    encoded = encode(quantize(graph, statistics, options))
    metadata = _metadata(imported, data, options) | {"macs": count_macs(encoded)}
    schema = None if options.io == "int8" else build_schema(graph, *_run(encoded, data))
    return Artifact.build(Content(encoded, metadata, None if schema is None else schema.to_bytes()))


def _run(graph: Graph, data: CalibrationData) -> tuple[dict[str, Array], dict[str, Array]]:
    """All calibration inputs, and the outputs of the quantized graph on them."""
    inputs, outputs = [], []
    size = graph.tensors[graph.inputs[0]].dims[0] or RUN_BATCH
    with progress("counting", data.samples) as advance:
        for feed in data.batches(size):
            inputs.append(feed)
            outputs.append(evaluate(graph, feed))
            advance(size)
    joined = [
        {name: np.concatenate([part[name] for part in parts]) for name in parts[0]} for parts in (inputs, outputs)
    ]
    return joined[0], joined[1]


def _metadata(imported: ImportedModel, data: CalibrationData, options: ConvertOptions) -> dict[str, Any]:
    return {
        "format": 1,
        "producer": f"edgeml {__version__}",
        "name": imported.name,
        "opset": imported.opset,
        "source_sha256": imported.source_sha256,
        "calibration_sha256": data.sha256,
        "calibration_samples": data.samples,
        "options": dataclasses.asdict(options),
    }
