# SPDX-License-Identifier: Apache-2.0
"""Check that this machine computes an artifact exactly as the machine that made it.

    edgeml check kws.edgeml

An artifact carries golden vectors: the recipe of some inputs and the SHA-256 of the exact outputs. They are run here on
every instruction-set level that the machine has, with one thread and with two. Exit code 0: all outputs are the same bits;
1: one differs, so the artifact must not be used here; 2: the file is damaged or has no golden vectors.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from edgeml import _core
from edgeml.golden_vectors import check_golden_vectors
from edgeml.session import InferenceSession


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the verb."""
    parser.add_argument("artifact", metavar="MODEL.edgeml", type=Path)
    parser.add_argument("--isa", help="check this level alone (default: every level that this machine has)")
    parser.add_argument("--threads", type=int, help="check this number of threads alone (default: 1 and 2)")
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(args: argparse.Namespace) -> int:
    """Run the verb."""
    levels = [args.isa] if args.isa else list(_core.ISAS)
    threads = (1, 2) if args.threads is None else (args.threads,)
    rows = [_row(args.artifact, isa, count) for isa in levels for count in threads]
    same = not any(row["mismatches"] for row in rows)
    if args.json:
        print(json.dumps({"artifact": str(args.artifact), "same": same, "runs": rows}, indent=2))
    else:
        print("\n".join(line for row in rows for line in _lines(row)))
        print(
            "the same bits everywhere" if same else "THIS MACHINE COMPUTES SOMETHING ELSE: do not use the artifact here"
        )
    return 0 if same else 1


def _row(artifact: Path, isa: str, threads: int) -> dict[str, Any]:
    vectors, mismatches = check_golden_vectors(InferenceSession(artifact, isa=isa, threads=threads))
    return {"isa": isa, "threads": threads, "vectors": vectors, "mismatches": [vars(each) for each in mismatches]}


def _lines(row: dict[str, Any]) -> list[str]:
    result = "same" if not row["mismatches"] else f"{len(row['mismatches'])} outputs DIFFER"
    lines = [
        f"{row['isa']:12s}{row['threads']} thread{'s' if row['threads'] != 1 else ' '}  {row['vectors']} vectors  {result}"
    ]
    lines += [
        f"    vector {m['vector']}, output {m['output']}: expected {m['expected_sha256'][:16]}, got {m['actual_sha256'][:16]}"
        for m in row["mismatches"]
    ]
    return lines
