#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An atheris campaign against the converter: any bytes give an artifact or an error of edgeml.errors, never another exception.

    pip install '.[fuzz]'
    python tests/fuzz/fuzz_onnx_import.py tests/fuzz/onnx_corpus -max_total_time=600 -rss_limit_mb=2048 -timeout=10

What it finds is kept in tests/fuzz/onnx_corpus, one file each, and replayed by tests/python/test_hostile_models.py.
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["edgeml.convert"]):
    import edgeml.convert
    from edgeml.errors import EdgemlError

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "python"))
from support.onnx_models import small_data

CALIBRATION = small_data(12)


def one_input(data: bytes) -> None:
    """Convert the bytes."""
    try:
        edgeml.convert(data, calibration=CALIBRATION)
    except EdgemlError:
        return


if __name__ == "__main__":
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
