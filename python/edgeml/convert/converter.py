# SPDX-License-Identifier: Apache-2.0
"""`convert`: the story of a conversion from top to bottom."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from edgeml import __version__
from edgeml.artifact import Artifact
from edgeml.artifact.model import Content
from edgeml.artifact.model import Graph as ArtifactGraph
from edgeml.convert.artifact_run import run_artifact
from edgeml.convert.calibration import CalibrationData, CalibrationSource, calibrate
from edgeml.convert.dimensions import read_dims
from edgeml.convert.encoding import count_macs, encode
from edgeml.convert.equalization_choice import most_accurate
from edgeml.convert.model_card import read_card
from edgeml.convert.onnx_importer import ImportedModel, ModelSource, import_onnx
from edgeml.convert.ops import check_supported, keep_unsupported_float
from edgeml.convert.ops.float32 import float_nodes
from edgeml.convert.options import ConvertOptions, Io
from edgeml.convert.passes import QUANTIZED_PASSES, run_passes
from edgeml.convert.prune.channels import remove_channels
from edgeml.convert.prune.pruner import Pruned, goal_of, prune
from edgeml.convert.quantization import quantize, quantize_stored
from edgeml.convert.report.html import write_report
from edgeml.convert.stored_quantization import assign
from edgeml.convert.telemetry import build_schema
from edgeml.convert.weight_storage import choose_storage
from edgeml.errors import CalibrationError, UnsupportedOperatorError, UsageError
from edgeml.golden_vectors import make_golden_vectors
from edgeml.ir import Graph
from edgeml.session import InferenceSession


def convert(  # noqa: PLR0913 (the public surface; all but the model are keywords)
    model: ModelSource,
    *,
    calibration: CalibrationSource | None = None,
    options: ConvertOptions | None = None,
    io: Io | None = None,
    report: str | os.PathLike[str] | None = None,
    card: str | os.PathLike[str] | Mapping[str, Any] | None = None,
) -> Artifact:
    """Turn a float ONNX model and real inputs into an int8 artifact, or take over a quantized one as it is.

    model: path, bytes or ModelProto, float32 inputs, opset 7 or newer. calibration: path of an .npz, folder of .npy or .npz files,
    dict of arrays by input name, or iterable of such dicts (batches); arrays as the model takes them, at least 10 samples; `x` may
    name a single input.
    A quantized model (QuantizeLinear and DequantizeLinear, QLinear* of ONNX and com.microsoft) keeps its scales, zero points and
    weights; it needs no calibration, and without it the artifact carries no telemetry. What it leaves in float stays in float.
    io, if given, takes the place of options.io.
    report: where an HTML page about every layer goes. card: card.toml or its fields, for the metadata (model_card.py). The same
    model, data and options give the same bytes on one machine (artifact-format.md, section 6).

    An artifact with float32 inputs and outputs carries a telemetry schema; its reference counts are those of the artifact itself
    on the calibration data.

    Raises:
        ModelFormatError, UnsupportedOperatorError, CalibrationError, ConversionError: the message says what to change.
    """
    options = options or ConvertOptions()
    if io is not None:
        options = dataclasses.replace(options, io=io)
    fields = {} if card is None else {"card": read_card(card)}
    imported = import_onnx(model, read_dims(options.dims))
    with threadpool_limits(
        limits=1, user_api="blas"
    ):  # the last bits of its sums depend on how many threads share them
        prepared = _from_stored(imported, calibration, options) or _from_float(imported, calibration, options)
    graph, data = prepared.graph, prepared.data
    encoded = choose_storage(encode(prepared.quantized), options.target_isa)
    metadata = _metadata(imported, prepared, options) | {"macs": count_macs(encoded), **fields}
    content = Content(encoded, metadata, None)
    feed = {} if data is None else data.arrays()
    plain = Artifact.build(content)
    golden = make_golden_vectors(InferenceSession(plain.to_bytes()), _input_ranges(encoded, feed))
    content = dataclasses.replace(content, metadata=metadata | {"golden": golden})
    if options.io == "float32" and feed:
        schema = build_schema(graph, feed, run_artifact(plain, feed))
        content = dataclasses.replace(content, telemetry=schema.to_bytes())
    artifact = Artifact.build(content)
    if report is not None:
        if not feed:
            raise CalibrationError("a report compares layers on data; give calibration data, or leave the report out")
        write_report(report, artifact, graph, feed, prepared.pruned)
    return artifact


@dataclass(frozen=True)
class _Prepared:
    """A float graph, the same graph quantized, and the data that were used, if any."""

    graph: Graph
    quantized: Graph
    data: CalibrationData | None
    requantized: tuple[str, ...] = ()
    pruned: Pruned | None = None


def _from_float(imported: ImportedModel, calibration: CalibrationSource | None, options: ConvertOptions) -> _Prepared:
    """Quantize by calibration."""
    graph = run_passes(imported.graph)
    if options.int8_only:
        check_supported(graph)
    graph = keep_unsupported_float(graph)
    if calibration is None:
        raise CalibrationError(
            "a float model needs calibration data; give real inputs with calibration=, --calibration"
        )
    data = CalibrationData(calibration, graph)
    if options.channel_sparsity is not None:
        graph = remove_channels(graph, data, options.channel_sparsity)
    pruned = prune(graph, data, goal_of(options)) if options.prunes else None
    graph = graph if pruned is None else pruned.graph
    graph = most_accurate(graph, data, options)
    return _Prepared(graph, quantize(graph, calibrate(graph, data), data, options), data, pruned=pruned)


def _from_stored(
    imported: ImportedModel, calibration: CalibrationSource | None, options: ConvertOptions
) -> _Prepared | None:
    """Take over the quantization that a model carries; None for a float model. Data, if given, serve telemetry and report."""
    if imported.stored is None:
        return None
    if options.prunes or options.channel_sparsity is not None:
        raise UsageError(
            "the model is quantized already and cannot be pruned; prune the float model that it was made from"
        )
    assigned = assign(run_passes(imported.graph, QUANTIZED_PASSES), float_outputs=options.io == "float32")
    if options.int8_only and (kept := float_nodes(assigned.graph)):
        raise UnsupportedOperatorError(f"node {kept[0]['node']!r} stays in float: {kept[0]['why']}")
    result = quantize_stored(assigned.graph, assigned.quant, imported.stored, options)
    data = None if calibration is None else CalibrationData(calibration, assigned.graph)
    return _Prepared(assigned.graph, result.graph, data, result.layers)


def _input_ranges(graph: ArtifactGraph, feed: Mapping[str, npt.NDArray[Any]]) -> dict[str, tuple[float, float]]:
    """Least and largest value of every input: of an int8 input all that it can hold, else what the data have or int8 covers."""
    ranges = {}
    for index in graph.inputs:
        tensor = graph.tensors[index]
        if tensor.dtype == np.int8:
            ranges[tensor.name] = (-128.0, 127.0)
        elif tensor.name in feed:
            ranges[tensor.name] = (float(feed[tensor.name].min()), float(feed[tensor.name].max()))
        else:
            ranges[tensor.name] = _quantized_range(graph, index)
    return ranges


def _quantized_range(graph: ArtifactGraph, index: int) -> tuple[float, float]:
    """What the first `quantize` of an input covers; -1..1 where it is read in float only."""
    for node in graph.nodes:
        if node.op == "quantize" and node.inputs == (index,):
            made = graph.tensors[node.outputs[0]]
            return made.scale * (-128 - made.zero_point), made.scale * (127 - made.zero_point)
    return -1.0, 1.0


def _metadata(imported: ImportedModel, prepared: _Prepared, options: ConvertOptions) -> dict[str, Any]:
    data = prepared.data
    metadata = {
        "format": 1,
        "producer": f"edgeml {__version__}",
        "name": imported.name,
        "opset": imported.opset,
        "source_sha256": imported.source_sha256,
        "calibration_sha256": "" if data is None else data.sha256,
        "calibration_samples": 0 if data is None else data.samples,
        "float_nodes": float_nodes(prepared.graph),
        "options": options.as_metadata(),
    }
    if imported.stored is not None:
        metadata["quantized_source"] = {"requantized_layers": list(prepared.requantized)}
    return metadata
