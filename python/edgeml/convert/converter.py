# SPDX-License-Identifier: Apache-2.0
"""`convert`: the story of a conversion from top to bottom."""

from __future__ import annotations

import dataclasses
from typing import Any

from edgeml import __version__
from edgeml.artifact import Artifact
from edgeml.artifact.model import Content
from edgeml.convert.artifact_run import run_artifact
from edgeml.convert.calibration import CalibrationData, CalibrationSource, calibrate
from edgeml.convert.encoding import count_macs, encode
from edgeml.convert.onnx_importer import ImportedModel, ModelSource, import_onnx
from edgeml.convert.ops import check_supported
from edgeml.convert.options import ConvertOptions, Io
from edgeml.convert.passes import run_passes
from edgeml.convert.quantization import quantize
from edgeml.convert.telemetry import build_schema


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
    content = Content(encoded, metadata, None)
    if options.io == "int8":
        return Artifact.build(content)
    feed = data.arrays()
    schema = build_schema(graph, feed, run_artifact(Artifact.build(content), feed))
    return Artifact.build(dataclasses.replace(content, telemetry=schema.to_bytes()))


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
