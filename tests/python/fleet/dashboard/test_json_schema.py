# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from edgeml.fleet.dashboard.json_schema import schema_of


@dataclass
class Inner:
    x: float


@dataclass
class Outer:
    name: str
    inner: list[Inner]
    pair: tuple[int, ...]
    more: dict[str, Any]
    closed_s: int | None


def test_schema_of_nested_dataclasses() -> None:
    inner = {"type": "object", "properties": {"x": {"type": "number"}}, "required": ["x"]}
    assert schema_of(Outer) == {
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "inner": {"type": "array", "items": inner},
            "pair": {"type": "array", "items": {"type": "integer"}},
            "more": {"type": "object", "additionalProperties": {}},
            "closed_s": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
        },
        "required": ["closed_s", "inner", "more", "name", "pair"],
    }


def test_what_has_no_schema() -> None:
    with pytest.raises(TypeError, match="no JSON schema"):
        schema_of(set[int])
