# SPDX-License-Identifier: Apache-2.0
"""Run an artifact on the arrays of an .npz file and write its outputs to another.

The input file holds one array per model input, by the input's name; for a model with one input an array `x` will do.
The same artifact and arrays give the same output file, byte for byte, on every CPU and for every number of threads.

    edgeml run kws.edgeml --input features.npz -o scores.npz
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from edgeml.npz import Array, read_npz, select_inputs, write_npz
from edgeml.session import InferenceSession

BATCH = 32  # samples a call: bounds the memory of the arena, costs nothing in speed


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the verb."""
    parser.add_argument("model", metavar="MODEL.edgeml", type=Path)
    parser.add_argument("--input", required=True, metavar="IN.npz", type=Path, help="arrays by input name, or `x`")
    parser.add_argument("-o", "--output", required=True, metavar="OUT.npz", type=Path, help="where the outputs go")
    parser.add_argument("--threads", type=int, help="threads of one run (default: EDGEML_THREADS, else 1)")
    parser.add_argument("--isa", help="run a lower instruction-set level (default: EDGEML_ISA, else the best)")
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(args: argparse.Namespace) -> int:
    """Run the verb."""
    session = InferenceSession(args.model, threads=args.threads, isa=args.isa)
    feed = select_inputs(read_npz(args.input), [spec.name for spec in session.get_inputs()], args.input)
    outputs = run_batches(session, feed)
    write_npz(args.output, outputs)
    if args.json:
        shapes = {name: list(array.shape) for name, array in outputs.items()}
        print(
            json.dumps({"output": str(args.output), "outputs": shapes, "isa": session.isa, "threads": session.threads})
        )
    else:
        for name, array in outputs.items():
            print(f"{args.output}: {name} {list(array.shape)} {array.dtype}")
    return 0


def run_batches(session: InferenceSession, feed: dict[str, Array]) -> dict[str, Array]:
    """All samples of a feed, BATCH at a time where the batch is free, one declared batch at a time where it is not."""
    specs = session.get_inputs()
    declared = specs[0].shape[0]
    step = BATCH if declared == "N" else int(declared)
    samples = {spec.name: len(feed[spec.name]) if feed[spec.name].ndim else 0 for spec in specs}
    count = min(samples.values())
    if count <= step or len(set(samples.values())) > 1 or (declared != "N" and count % step):
        results = [session.run(None, feed)]  # one call, or a feed that the session refuses with its sentence
    else:
        results = [
            session.run(None, {name: array[i : i + step] for name, array in feed.items()})
            for i in range(0, count, step)
        ]
    return {
        spec.name: np.concatenate(parts)
        for spec, parts in zip(session.get_outputs(), zip(*results, strict=True), strict=True)
    }
