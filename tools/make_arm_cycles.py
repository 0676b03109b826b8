#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes bench/kernels/arm_cycles.md from the aarch64 build: run `tools/test aarch64` first.

tools/check compares the build with this table, so a change of it belongs into the commit that changes a kernel.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from checks import arm_cycles
from checks.tree import REPOSITORY

INTRODUCTION = """# Hot loops of the ARM kernels, by llvm-mca

Written by `tools/make_arm_cycles.py`, compared by `tools/check arm_cycles`. Scheduling models of llvm-mca, first-level cache
assumed: not a measurement on a board. A row is one pass of an innermost loop with at least 8 multiplying instructions, rare
paths in it (the last, partial vector of a row) included. Multiply-adds are what the instructions do: a dot product of
three taps counts four. Peak is what the model gives for the level's multiplying instructions alone. Of the three column
loops of depthwise kernels, the rounding of the results is a part.
"""


def main() -> int:
    """Write the table."""
    rows = "\n".join(reading.line() for reading in arm_cycles.readings())
    text = f"{INTRODUCTION}\n{arm_cycles.versions()}\n\n{arm_cycles.HEAD}\n|---|---|---|---|---|---|---|\n{rows}\n"
    (REPOSITORY / arm_cycles.TABLE).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
