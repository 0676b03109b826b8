#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Write tests/golden: the committed artifacts, and the recorded hashes of all golden cases (ADR 0006).

    python tools/make_golden_hashes.py

Run it with the environment of tools/test after a change of the converter, the format or the numeric contract; needs
../shared. The diff of output_hashes.json shows which models changed. Outputs are those of the `ref` kernels.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(REPOSITORY / "tests" / "python"), str(REPOSITORY / "tools")]

import edgeml  # noqa: E402
from edgeml.artifact import Artifact  # noqa: E402
from edgeml.demo import digits  # noqa: E402
from support import golden  # noqa: E402
from support.plain_artifact import every_plain_operator  # noqa: E402
from support.small_artifact import every_operator  # noqa: E402
from support.sparse_artifact import sparse_layers  # noqa: E402


def make_own_artifacts() -> None:
    """Random networks of every operator and of sparse layers, and the demo's network."""
    Artifact.build(every_operator()).save(golden.GOLDEN / "every_operator.edgeml")
    Artifact.build(every_plain_operator()).save(golden.GOLDEN / "every_plain_operator.edgeml")
    Artifact.build(sparse_layers()).save(golden.GOLDEN / "sparse_layers.edgeml")
    calibration = {digits.INPUT_NAME: digits.load("calibration").x}
    edgeml.convert(digits.ONNX_PATH, calibration=calibration).save(golden.GOLDEN / "digits.edgeml")


def main() -> None:
    """Write all files."""
    golden.GOLDEN.mkdir(exist_ok=True)
    make_own_artifacts()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cases = [*golden.own_cases(folder), *golden.shared_cases(folder)]
        run = golden.run_cases(cases, folder / "out", EDGEML_ISA="ref", EDGEML_THREADS="1")
        hashes = {
            case.name: {"artifact_sha256": case.artifact_sha256, "output_sha256": run.outputs[case.name]}
            for case in cases
        }
    document = {"calibration_machine": golden.calibration_machine(), "cases": hashes}
    golden.HASHES.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
