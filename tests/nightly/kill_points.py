#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Kill -9 at every write of spool and ledger, 10,000 times and more: 0 lost, 0 double, 0 refunds, or an AssertionError.

PYTHONPATH=python:tests/python python tests/nightly/kill_points.py [--least 10000] [--seed 1]

Prints one JSON document: how many processes were killed, and at how many different calls of a life.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from support.write_faults import build, environment


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--least", type=int, default=10_000, help="kills; default 10000")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        library = build(Path(folder))
        command = [sys.executable, "-m", "support.kill_points", str(Path(folder) / "lives")]
        command += [str(args.least), str(args.seed)]
        return subprocess.run(command, env=environment(library), check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
