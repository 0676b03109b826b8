#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measure int8 against float on the nine real models of ../shared, and ONNX Runtime's int8 beside it.

    python bench/accuracy.py            print the table
    python bench/accuracy.py --write    put it into bench/README.md, between its two marks
    python bench/accuracy.py --range-method minmax --no-bias-correction    with other options of the converter

Models are converted with default options unless others are given. Labels, preprocessing and calibration files: tools/prepare_assets.py.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final, get_args

import numpy as np

import edgeml.convert
from edgeml.convert.comparison import Comparison, OutputComparison, compare, compare_outputs, run_float
from edgeml.convert.float_model import FloatModel
from edgeml.convert.options import ConvertOptions, RangeMethod

REPOSITORY: Final = Path(__file__).resolve().parents[1]
README: Final = REPOSITORY / "bench" / "README.md"
BEGIN: Final = "<!-- accuracy: begin, made by bench/accuracy.py -->"
END: Final = "<!-- accuracy: end -->"
HEAD: Final = (
    "| model | samples | float32 | ONNX Runtime int8 | edgeml int8 | agree, ORT | agree, edgeml | SQNR dB, ORT | SQNR dB, edgeml | bytes |",
    "|---|---|---|---|---|---|---|---|---|---|",
)

sys.path.insert(0, str(REPOSITORY / "tools"))
from prepare_assets import ASSETS, SHARED, Asset, prepare  # noqa: E402


def measure(asset: Asset, folder: Path, options: ConvertOptions) -> str:
    """One row of the table."""
    calibration, test = prepare(asset, folder)
    model = SHARED / "models" / f"{asset.model}.onnx"
    artifact = edgeml.convert(model, calibration=calibration, options=options)
    with np.load(test) as file:
        data = dict(file)
    ours = compare(artifact, model, data)
    theirs = compare_qdq(model, data)
    mine, other = ours.outputs[0], theirs.outputs[0]
    cells = [
        asset.model,
        f"{ours.samples:,}",
        quality(mine, of_float=True),
        quality(other),
        quality(mine),
        agreement(other),
        agreement(mine),
        f"{other.sqnr_db:.1f}",
        f"{mine.sqnr_db:.1f}",
        f"{len(artifact.to_bytes()):,}",
    ]
    return f"| {' | '.join(cells)} |"


def compare_qdq(model: Path, data: dict[str, np.ndarray]) -> Comparison:
    """ONNX Runtime's own int8 file of the model against the float model."""
    models = [FloatModel(path.read_bytes()) for path in (model, model.with_suffix(".qdq.onnx"))]
    feed = {next(iter(models[0].inputs)): data["x"]}
    expected, actual = (run_float(one, feed) for one in models)
    return compare_outputs(expected, actual, feed, data.get("y"))


def quality(output: OutputComparison, *, of_float: bool = False) -> str:
    """Accuracy, with the AUC of two classes; or the mean anomaly score."""
    accuracy = output.accuracy_float if of_float else output.accuracy
    auc = output.auc_float if of_float else output.auc
    mse = output.mse_float if of_float else output.mse
    if accuracy is not None:
        return f"{100 * accuracy:.2f} %" + ("" if auc is None else f", AUC {auc:.4f}")
    return "no labels" if mse is None else f"mean score {mse:.4f}"


def agreement(output: OutputComparison) -> str:
    """Decisions that agree, or the correlation of anomaly scores."""
    if output.decisions_agree is not None:
        return f"{100 * output.decisions_agree:.2f} %"
    return f"correlation {output.score_correlation:.4f}"


def rows(only: list[str], options: ConvertOptions) -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        for asset in ASSETS:
            if not only or any(word in asset.model for word in only):
                yield measure(asset, Path(folder), options)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("only", nargs="*", help="words of model names; all models if none is given")
    parser.add_argument("--range-method", choices=get_args(RangeMethod), default=ConvertOptions().range_method)
    parser.add_argument("--no-bias-correction", action="store_true")
    parser.add_argument("--write", action="store_true", help="replace the table in bench/README.md")
    arguments = parser.parse_args()
    if not SHARED.is_dir():
        print(f"{parser.prog}: {SHARED} is not there; this benchmark needs the shared models and data", file=sys.stderr)
        return 2
    options = ConvertOptions(range_method=arguments.range_method, bias_correction=not arguments.no_bias_correction)
    table = list(HEAD)
    for line in HEAD:
        print(line)
    for row in rows(arguments.only, options):
        table.append(row)
        print(row, flush=True)
    if arguments.write:
        before, rest = README.read_text().split(BEGIN)
        after = rest.split(END)[1]
        README.write_text("\n".join([f"{before}{BEGIN}", *table, f"{END}{after}"]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
