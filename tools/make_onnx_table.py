#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Run the conformance suite of the onnx package; write docs/onnx-conformance.md and add to tests/golden/onnx_passed.txt.

    python tools/make_onnx_table.py

Run it with the environment of tools/test. The list of passed cases only grows: a case of it that fails is an error here.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(REPOSITORY / "tests" / "python"), str(REPOSITORY / "tools")]

import onnx  # noqa: E402

from support import onnx_suite  # noqa: E402

PAGE = REPOSITORY / "docs" / "onnx-conformance.md"
HEAD = """# ONNX conformance

Written by `tools/make_onnx_table.py`. `edgeml.onnx_backend` on the suite of the onnx package {version} (`onnx.backend.test`): each
model is lowered to an `.edgeml` artifact, in its own dtypes, and run by the C++ core; nothing of it is computed by another runtime.
Inputs that decide a shape (the second one of Reshape, trip counts, ...) are bound at conversion. An output whose size depends on data
(NonZero, Compress, NonMaxSuppression) has the largest size it can have in the artifact, and a count beside it by which it is cut.

| cases | in scope | passed |
|---|---|---|
"""


def main() -> int:
    """Write both files; exit code 1 if a case of the list fails."""
    before = onnx_suite.passed_before() if onnx_suite.PASSED.exists() else set()
    outcome = [
        (c.kind, c.name, sorted(c.operators), onnx_suite.out_of_scope(c), onnx_suite.failure(c))
        for c in onnx_suite.cases()
    ]
    passed = {(kind, name) for kind, name, _, _, why in outcome if why is None}
    lost = sorted(before & {(kind, name) for kind, name, *_ in outcome} - passed)
    onnx_suite.PASSED.write_text("".join(f"{kind} {name}\n" for kind, name in sorted(before | passed)))

    page = HEAD.format(version=onnx.__version__)
    for kind in onnx_suite.KINDS:
        inside = [row for row in outcome if row[0] == kind and row[3] is None]
        page += f"| {kind} | {len(inside)} | {sum(row[4] is None for row in inside)} |\n"
    inside = [row for row in outcome if row[0] == "node" and row[3] is None]
    total, good = (
        Counter(op for row in rows for op in row[2][:1]) for rows in (inside, [r for r in inside if r[4] is None])
    )
    page += "\n## Node cases by operator\n\n| operator | passed | of |\n|---|---|---|\n"
    page += "".join(f"| {op} | {good[op]} | {total[op]} |\n" for op in sorted(total))
    page += "\n## In scope and not passed\n\n| case | why |\n|---|---|\n"
    page += "".join(
        f"| {name} | {_cell(why)} |\n" for _, name, _, scope, why in outcome if scope is None and why is not None
    )
    page += "\n## Out of scope\n\n| why | cases | of them passed |\n|---|---|---|\n"
    outside = [row for row in outcome if row[3] is not None]
    for reason, count in sorted(Counter(row[3] for row in outside).items()):
        page += f"| {reason} | {count} | {sum(r[4] is None for r in outside if r[3] == reason)} |\n"
    page += "\nOut of scope and not passed: "
    page += ", ".join(name for _, name, _, scope, why in outcome if scope is not None and why is not None) + ".\n"
    PAGE.write_text(page)
    for kind, name in lost:
        print(f"failed, but has passed before: {kind} {name}", file=sys.stderr)
    return 1 if lost else 0


def _cell(why: str | None) -> str:
    return (why or "").replace("|", "/")[:160]


if __name__ == "__main__":
    sys.exit(main())
