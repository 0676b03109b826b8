# SPDX-License-Identifier: Apache-2.0
"""Turn a float ONNX model and real inputs into an int8 artifact.

    edgeml convert kws.onnx -o kws.edgeml --calibration features.npz

features.npz holds one array per model input, by the input's name (or `x` for a model with one input), prepared exactly
as for the float model: 50 to 500 typical samples. From them come the 8-bit ranges, and the reference that devices in the
field are compared with. Then see what the conversion costs: edgeml compare --help
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import get_args

from edgeml import _core
from edgeml.artifact import Artifact
from edgeml.artifact.block_sparse import BLOCK_ROWS
from edgeml.convert.converter import convert
from edgeml.convert.options import ConvertOptions, Io, Preset, RangeMethod


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the verb."""
    defaults = ConvertOptions()
    parser.add_argument("model", metavar="MODEL.onnx", type=Path, help="float32 model, opset 7 or newer")
    parser.add_argument(
        "-o", "--output", required=True, metavar="MODEL.edgeml", type=Path, help="where the artifact goes"
    )
    parser.add_argument(
        "--calibration",
        metavar="DATA",
        type=Path,
        help=".npz with arrays by input name, or `x`, or a folder of .npz or .npy files; a quantized model needs none",
    )
    parser.add_argument(
        "--preset",
        choices=get_args(Preset),
        default=defaults.preset,
        help="how much work accuracy is worth (default: %(default)s)",
    )
    parser.add_argument(
        "--range-method",
        choices=get_args(RangeMethod),
        default=defaults.range_method,
        help="how 8-bit ranges follow from the data (default: %(default)s, the least squared error)",
    )
    parser.add_argument(
        "--percentile",
        type=float,
        default=defaults.percentile,
        help="for --range-method percentile: share kept on each side, in percent (default: %(default)s)",
    )
    parser.add_argument("--no-bias-correction", action="store_true", help="leave biases as the float model has them")
    parser.add_argument("--int8-only", action="store_true", help="refuse a model in which a node would stay in float")
    parser.add_argument(
        "--sparsity",
        type=float,
        metavar="SHARE",
        help="prune: share of weights to make zero, 0.5 for example (default: none); see docs/howto/prune.md",
    )
    parser.add_argument(
        "--latency-budget",
        type=float,
        metavar="SHARE",
        help="prune, in the place of --sparsity: until the predicted time on --target-isa is this share of the dense one",
    )
    parser.add_argument(
        "--channel-sparsity",
        type=float,
        metavar="SHARE",
        help="remove about this share of the channels between two convolutions that nothing else depends on (default: none)",
    )
    parser.add_argument(
        "--block-rows",
        type=int,
        choices=BLOCK_ROWS,
        help="output channels of a block of zeros, 4 input channels wide (default: 2; with --latency-budget each layer's best)",
    )
    parser.add_argument(
        "--io", choices=get_args(Io), default=defaults.io, help="type of inputs and outputs (default: %(default)s)"
    )
    parser.add_argument(
        "--target-isa",
        choices=_core.ISA_LEVELS,
        default=defaults.target_isa,
        help="level of the devices: weights with zeros are stored without them where that is faster there; it never "
        "changes a result (default: %(default)s)",
    )
    parser.add_argument(
        "--report",
        metavar="REPORT.html",
        type=Path,
        help="write a page about every layer: noise, saturation, bytes, time",
    )
    parser.add_argument(
        "--dim",
        action="append",
        default=[],
        metavar="NAME=SIZE",
        help="size of a free dimension of the inputs; NAME=1..16 for the batch, which stays free (may be repeated)",
    )
    parser.add_argument(
        "--card", metavar="CARD.toml", type=Path, help="owner, risk tier, intended use, licence, ... for the metadata"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(args: argparse.Namespace) -> int:
    """Run the verb."""
    options = ConvertOptions(
        preset=args.preset,
        range_method=args.range_method,
        percentile=args.percentile,
        bias_correction=not args.no_bias_correction,
        int8_only=args.int8_only,
        sparsity=args.sparsity,
        latency_budget=args.latency_budget,
        channel_sparsity=args.channel_sparsity,
        block_rows=args.block_rows,
        dims=tuple(args.dim),
        io=args.io,
        target_isa=args.target_isa,
    )
    artifact = convert(args.model, calibration=args.calibration, options=options, report=args.report, card=args.card)
    artifact.save(args.output)
    summary = _summary(args.output, artifact)
    for kept in artifact.metadata["float_nodes"]:
        print(f"stays in float: {kept['node']} ({kept['op']}): {kept['why']}", file=sys.stderr)
    if args.json:
        print(json.dumps(summary, indent=2))
    else:
        print(
            f"{args.output}: {summary['bytes']:,} bytes, {summary['nodes']} nodes, {summary['macs']:,} MACs a sample, "
            f"model id {summary['model_id']}"
        )
    return 0


def _summary(path: Path, artifact: Artifact) -> dict[str, object]:
    return {
        "output": str(path),
        "bytes": len(artifact.to_bytes()),
        "model_id": artifact.model_id.hex(),
        "nodes": len(artifact.graph.nodes),
        "macs": artifact.metadata["macs"],
        "metadata": dict(artifact.metadata),
    }
