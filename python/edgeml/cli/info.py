# SPDX-License-Identifier: Apache-2.0
"""Show what this machine runs: CPU, instruction-set levels, the kernel chosen per family, versions.

edgeml info
edgeml info --json
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

import edgeml
from edgeml import _core

PACKAGES = ("numpy", "paho-mqtt", "cbor2", "onnx", "onnxruntime", "sqlalchemy")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the verb."""
    parser.add_argument("--isa", help="show the kernels of a lower level (default: EDGEML_ISA, else the best)")
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(args: argparse.Namespace) -> int:
    """Run the verb."""
    isa = args.isa or os.environ.get("EDGEML_ISA") or _core.ISAS[0]
    report: dict[str, Any] = {
        "edgeml": edgeml.__version__,
        "python": platform.python_version(),
        "cpu": _cpu_name(),
        "architecture": platform.machine(),
        "isas": list(_core.ISAS),
        "isa": isa,
        "kernels": _core.chosen_kernels(isa),
        "operators": [row[1] for row in _core.OPERATORS],
        "packages": {name: _version(name) for name in PACKAGES},
    }
    if args.json:
        print(json.dumps(report))
        return 0
    print(f"edgeml {report['edgeml']}, Python {report['python']}, {report['cpu']} ({report['architecture']})")
    print("levels    " + ", ".join(f"{name} *" if name == isa else name for name in report["isas"]))
    for family, symbol in report["kernels"].items():
        print(f"  {family:<20}{symbol}")
    print("operators " + ", ".join(report["operators"]))
    print("packages  " + ", ".join(f"{name} {version or '-'}" for name, version in report["packages"].items()))
    return 0


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.processor()
    )


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
