# SPDX-License-Identifier: Apache-2.0
"""Compare an artifact with the float ONNX model that it was made from.

    edgeml compare kws.edgeml kws.onnx --data test.npz

test.npz holds one array per model input, by the input's name (or `x`), prepared as for the float model; with labels in
`y` the accuracy of both is shown. Use data that did not calibrate the model. For each output: the share of samples with
the same decision (largest element, or one probability against 0.5), the signal-to-quantization-noise ratio, and for a
model that reconstructs its input the anomaly score and its correlation with the float score.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
from pathlib import Path

from edgeml.artifact import Artifact
from edgeml.convert.comparison import Comparison, OutputComparison, compare
from edgeml.npz import read_npz


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the verb."""
    parser.add_argument("artifact", metavar="MODEL.edgeml", type=Path)
    parser.add_argument("model", metavar="MODEL.onnx", type=Path)
    parser.add_argument(
        "--data", required=True, metavar="DATA.npz", type=Path, help="arrays by input name, or `x`; `y`"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(args: argparse.Namespace) -> int:
    """Run the verb."""
    result = compare(Artifact.load(args.artifact), args.model, read_npz(args.data))
    if args.json:
        print(json.dumps(_document(result), indent=2))
        return 0
    print(f"{result.samples} samples")
    for output in result.outputs:
        print("\n".join(_lines(output)))
    return 0


def _document(result: Comparison) -> dict[str, object]:
    """Without what does not apply; an infinite ratio (no difference at all) is null, which JSON has."""
    outputs = []
    for output in result.outputs:
        fields = {name: value for name, value in dataclasses.asdict(output).items() if value is not None}
        outputs.append({name: None if value == math.inf else value for name, value in fields.items()})
    return {"samples": result.samples, "outputs": outputs}


def _lines(output: OutputComparison) -> list[str]:
    lines = [f"{output.name}", f"  SQNR                {output.sqnr_db:8.2f} dB"]
    lines.append(f"  largest difference  {output.max_abs_difference:8.4g}")
    if output.decisions_agree is not None:
        lines.append(f"  decisions agree     {100 * output.decisions_agree:8.2f} %")
    pairs = (
        ("accuracy", output.accuracy, output.accuracy_float, 100, " %"),
        ("AUC", output.auc, output.auc_float, 1, ""),
    )
    for name, value, reference, factor, unit in (*pairs, ("mean score", output.mse, output.mse_float, 1, "")):
        if value is not None and reference is not None:
            lines.append(f"  {name:18s}  {factor * value:8.4f}{unit} (float {factor * reference:.4f}{unit})")
    if output.score_correlation is not None:
        lines.append(f"  score correlation   {output.score_correlation:8.4f}")
    return lines
