# SPDX-License-Identifier: Apache-2.0
"""`convert`: the story of a conversion from top to bottom."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeml import __version__
from edgeml.artifact import Artifact
from edgeml.artifact.model import Content, Graph
from edgeml.convert.artifact_run import run_artifact
from edgeml.convert.calibration import CalibrationData, CalibrationSource, calibrate
from edgeml.convert.encoding import count_macs, encode
from edgeml.convert.onnx_importer import ImportedModel, ModelSource, import_onnx
from edgeml.convert.ops import check_supported, keep_unsupported_float
from edgeml.convert.ops.float32 import float_nodes
from edgeml.convert.options import ConvertOptions, Io
from edgeml.convert.passes import run_passes
from edgeml.convert.prune.pruner import prune
from edgeml.convert.quantization import quantize
from edgeml.convert.report.html import write_report
from edgeml.convert.telemetry import build_schema
from edgeml.convert.weight_storage import choose_storage
from edgeml.golden_vectors import make_golden_vectors
from edgeml.session import InferenceSession


def convert(
    model: ModelSource,
    *,
    calibration: CalibrationSource,
    options: ConvertOptions | None = None,
    io: Io | None = None,
    report: str | os.PathLike[str] | None = None,
) -> Artifact:
    """Turn a float ONNX model and real inputs into an int8 artifact.

    model: path, bytes or ModelProto, float32 inputs, opset 7 or newer. calibration: path of an .npz, dict of arrays by input
    name, or iterable of such dicts (batches); arrays as the model takes them, at least 10 samples; `x` may name a single input.
    io, if given, takes the place of options.io.
    report: where an HTML page about every layer goes. The same model, data and options give the same bytes.

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
    if options.int8_only:
        check_supported(graph)
    graph = keep_unsupported_float(graph)
    data = CalibrationData(calibration, graph)
    pruned = None if options.sparsity is None else prune(graph, data, options.sparsity, options.block_rows)
    if pruned is not None:
        graph = pruned.graph
    statistics = calibrate(graph, data)
    encoded = choose_storage(encode(quantize(graph, statistics, options)), options.target_isa)
    metadata = _metadata(imported, data, options) | {"float_nodes": float_nodes(graph), "macs": count_macs(encoded)}
    content = Content(encoded, metadata, None)
    feed = data.arrays()
    plain = Artifact.build(content)
    golden = make_golden_vectors(InferenceSession(plain.to_bytes()), _input_ranges(encoded, feed))
    content = dataclasses.replace(content, metadata=metadata | {"golden": golden})
    if options.io == "float32":
        schema = build_schema(graph, feed, run_artifact(plain, feed))
        content = dataclasses.replace(content, telemetry=schema.to_bytes())
    artifact = Artifact.build(content)
    if report is not None:
        write_report(report, artifact, graph, feed)
    return artifact


def _input_ranges(graph: Graph, feed: Mapping[str, npt.NDArray[Any]]) -> dict[str, tuple[float, float]]:
    """Least and largest value of every input: of an int8 input all that it can hold, else what calibration saw."""
    inputs = [graph.tensors[i] for i in graph.inputs]
    return {
        tensor.name: (-128, 127)
        if tensor.dtype == np.int8
        else (float(feed[tensor.name].min()), float(feed[tensor.name].max()))
        for tensor in inputs
    }


def _metadata(imported: ImportedModel, data: CalibrationData, options: ConvertOptions) -> dict[str, Any]:
    return {
        "format": 1,
        "producer": f"edgeml {__version__}",
        "name": imported.name,
        "opset": imported.opset,
        "source_sha256": imported.source_sha256,
        "calibration_sha256": data.sha256,
        "calibration_samples": data.samples,
        "options": options.as_metadata(),
    }
