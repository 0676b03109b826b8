#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measure int8 against float on the twelve real models of ../shared, and ONNX Runtime's int8 beside it.

    python bench/accuracy.py            print the table
    python bench/accuracy.py --write    put it into bench/README.md, between its two marks
    python bench/accuracy.py --range-method minmax --no-bias-correction    with other options of the converter

Models are converted with default options unless others are given. Labels, preprocessing and calibration files: tools/prepare_assets.py.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple, get_args

import numpy as np
import numpy.typing as npt

import edgeml.convert
from anchors import DETECTORS, anchor_f1
from edgeml.convert.artifact_run import run_artifact
from edgeml.convert.comparison import OutputComparison, compare_outputs, run_float
from edgeml.convert.float_model import FloatModel
from edgeml.convert.options import ConvertOptions, Preset, RangeMethod

Array = npt.NDArray[Any]
REPOSITORY: Final = Path(__file__).resolve().parents[1]
README: Final = REPOSITORY / "bench" / "README.md"
BEGIN: Final = "<!-- accuracy: begin, made by bench/accuracy.py -->"
END: Final = "<!-- accuracy: end -->"
COLUMNS: Final = (
    "model",
    "samples",
    "float32",
    "ONNX Runtime int8",
    "edgeml int8",
    "agree, ORT",
    "agree, edgeml",
    "SQNR dB, ORT",
    "SQNR dB, edgeml",
    "bytes",
    "aim",
    "met",
)
HEAD: Final = (f"| {' | '.join(COLUMNS)} |", f"|{'---|' * len(COLUMNS)}")

sys.path.insert(0, str(REPOSITORY / "tools"))
from prepare_assets import ASSETS, SHARED, Asset, prepare  # noqa: E402


class Result(NamedTuple):
    """One int8 model against float: its first output compared, SQNR over all outputs, and the anchors of a detector."""

    output: OutputComparison
    sqnr_db: float
    hits: int | None
    hits_float: int | None
    anchor_f1: float | None


class Aim(NamedTuple):
    """Least value of a field of OutputComparison or Result, as a share in 0..1 or a correlation."""

    field: str
    least: float


AIMS: Final = {
    "kws_dscnn": Aim("accuracy", 0.914),
    "sww_dscnn1d": Aim("decisions_agree", 1.0),
    "vww_mobilenetv1_025_96": Aim("decisions_agree", 1.0),
    "resnet8_cifar10": Aim("accuracy", 0.763),
    "resnet32_cifar10": Aim("accuracy", 0.834),
    "ad_toycar_fc_autoencoder": Aim("score_correlation", 0.997),
    "mobilenetv1_025_128": Aim("decisions_agree", 0.90),
    "mobilenetv2_100_224": Aim("decisions_agree", 40 / 41),  # all photos but one
    "adult_mlp": Aim("auc", 0.9058),
    "kwt1": Aim("accuracy", 0.970),
    "fastestdet_352": Aim("anchor_f1", 0.95),
    "ultraface_slim320": Aim("anchor_f1", 0.97),
}
SQNR_LEAD_DB: Final = 2.0  # the least lead over ONNX Runtime's int8 ...
SQNR_HIGH_DB: Final = 30.0  # ... where that has less than this


def measure(asset: Asset, folder: Path, options: ConvertOptions) -> str:
    """One row of the table."""
    calibration, test = prepare(asset, folder)
    path = SHARED / "models" / f"{asset.model}.onnx"
    artifact = edgeml.convert(path, calibration=calibration, options=options)
    with np.load(test) as file:
        data = dict(file)
    model, qdq = (FloatModel(one.read_bytes()) for one in (path, path.with_suffix(".qdq.onnx")))
    feed = {next(iter(model.inputs)): data["x"]}
    expected = run_float(model, feed)
    other = against_float(asset, expected, run_float(qdq, feed), feed, data.get("y"))
    mine = against_float(asset, expected, run_artifact(artifact, feed), feed, data.get("y"))
    aim = AIMS[asset.model]
    cells = [
        asset.model,
        f"{len(data['x']):,}",
        quality(mine, of_float=True),
        quality(other),
        quality(mine),
        agreement(other),
        agreement(mine),
        f"{other.sqnr_db:.1f}",
        f"{mine.sqnr_db:.1f}",
        f"{len(artifact.to_bytes()):,}",
        describe(aim),
        met(aim, mine, other),
    ]
    return f"| {' | '.join(cells)} |"


def against_float(
    asset: Asset, expected: Mapping[str, Array], actual: Mapping[str, Array], feed: Mapping[str, Array], y: Array | None
) -> Result:
    output = compare_outputs(expected, actual, feed, y).outputs[0]
    noise = sum(float(((expected[name].astype(np.float64) - actual[name]) ** 2).sum()) for name in expected)
    signal = sum(float((array.astype(np.float64) ** 2).sum()) for array in expected.values())
    sqnr_db = 10 * math.log10(signal / noise) if noise else math.inf
    if asset.model not in DETECTORS:
        return Result(output, sqnr_db, None, None, None)
    over_float, over = (DETECTORS[asset.model](outputs) for outputs in (expected, actual))
    return Result(output, sqnr_db, int(over.sum()), int(over_float.sum()), anchor_f1(over_float, over))


def value(aim: Aim, result: Result) -> float:
    return float(getattr(result if aim.field in Result._fields else result.output, aim.field))


def describe(aim: Aim) -> str:
    word = {"decisions_agree": "agree", "score_correlation": "correlation", "anchor_f1": "F1", "auc": "AUC"}.get(
        aim.field, aim.field
    )
    number = f"{100 * aim.least:.1f} %" if aim.field in {"accuracy", "decisions_agree"} else f"{aim.least:g}"
    return f"{word} {number}"


def met(aim: Aim, mine: Result, other: Result) -> str:
    """Yes, or what is missed: the model's own aim, the lead in SQNR over ONNX Runtime's int8 where that is noisy."""
    missed = [] if value(aim, mine) >= aim.least else [describe(aim)]
    if other.sqnr_db < SQNR_HIGH_DB and mine.sqnr_db < other.sqnr_db + SQNR_LEAD_DB:
        missed.append(f"SQNR {other.sqnr_db + SQNR_LEAD_DB:.1f} dB")
    return f"**no**: {', '.join(missed)}" if missed else "yes"


def quality(result: Result, *, of_float: bool = False) -> str:
    """Accuracy, with the AUC of two classes; the mean anomaly score; or how many anchors are over the threshold."""
    output = result.output
    hits = result.hits_float if of_float else result.hits
    accuracy = output.accuracy_float if of_float else output.accuracy
    auc = output.auc_float if of_float else output.auc
    mse = output.mse_float if of_float else output.mse
    if hits is not None:
        return f"{hits:,} anchors"
    if accuracy is not None:
        return f"{100 * accuracy:.2f} %" + ("" if auc is None else f", AUC {auc:.4f}")
    return "no labels" if mse is None else f"mean score {mse:.4f}"


def agreement(result: Result) -> str:
    """Decisions that agree, the F1 of a detector's anchors, or the correlation of anomaly scores."""
    if result.anchor_f1 is not None:
        return f"F1 {result.anchor_f1:.4f}"
    if result.output.decisions_agree is not None:
        return f"{100 * result.output.decisions_agree:.2f} %"
    return f"correlation {result.output.score_correlation:.4f}"


def rows(only: list[str], options: ConvertOptions) -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        for asset in ASSETS:
            if not only or any(word in asset.model for word in only):
                yield measure(asset, Path(folder), options)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("only", nargs="*", help="words of model names; all models if none is given")
    parser.add_argument("--preset", choices=get_args(Preset), default=ConvertOptions().preset)
    parser.add_argument("--range-method", choices=get_args(RangeMethod), default=ConvertOptions().range_method)
    parser.add_argument("--no-bias-correction", action="store_true")
    parser.add_argument("--write", action="store_true", help="replace the table in bench/README.md")
    arguments = parser.parse_args()
    if not SHARED.is_dir():
        print(f"{parser.prog}: {SHARED} is not there; this benchmark needs the shared models and data", file=sys.stderr)
        return 2
    options = ConvertOptions(
        preset=arguments.preset,
        range_method=arguments.range_method,
        bias_correction=not arguments.no_bias_correction,
    )
    table = list(HEAD)
    for line in HEAD:
        print(line)
    for row in rows(arguments.only, options):
        table.append(row)
        print(row, flush=True)
    results = table[len(HEAD) :]
    table += ["", f"{sum(row.endswith('| yes |') for row in results)} of {len(results)} models meet their aims."]
    print("\n".join(table[-2:]))
    if arguments.write:
        before, rest = README.read_text().split(BEGIN)
        after = rest.split(END)[1]
        README.write_text("\n".join([f"{before}{BEGIN}", *table, f"{END}{after}"]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
