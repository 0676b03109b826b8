# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import re

from edgeml.artifact.operators import OPERATORS
from support.needs import REPOSITORY


def test_table_equals_operators_def() -> None:
    text = (REPOSITORY / "cpp/src/model/operators.def").read_text()
    rows = re.findall(r"^EDGEML_OP\(\s*(\d+),\s*(\w+),\s*(\d+),\s*(\d+),\s*(-?\d+),", text, re.MULTILINE)
    expected = [(int(code), name, int(low), int(high), int(count)) for code, name, low, high, count in rows]
    actual = [
        (row.code, row.name, row.inputs_min, row.inputs_max, -1 if row.attributes is None else len(row.attributes))
        for row in OPERATORS
    ]
    assert actual == expected
