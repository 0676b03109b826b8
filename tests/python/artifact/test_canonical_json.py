# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from edgeml.artifact import canonical_json


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"a": 1, "b": [1.5, -0.25, 1e300, True, None, "x"]},
        {"é": "\u2028", "name": '"quoted"\n'},
        {"a": {"b": {"c": [[], {}]}}},
    ],
)
def test_what_is_written_is_read(value: dict[str, object]) -> None:
    assert canonical_json.load(canonical_json.dump(value)) == value


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "1", "{", "{}x", "{} ", " {}", '{"a": 1}', '{"a":1,}', '{"b":1,"a":2}', '{"a":1,"a":2}', '{"a":NaN}', '{"a":01}',
        '{"a":1.}', '{"a":.5}', '{"a":+1}', '{"a":"\t"}', '{"a":"\\x"}', '{"a":"\\u12"}', '{"a":tru}', "{'a':1}", '{"a"}', "{1:2}",
        '{"a":' * 33 + "1" + "}" * 33, '{"a":-}',
    ],
)  # fmt: skip
def test_everything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        canonical_json.load(text.encode())


def test_not_utf8() -> None:
    with pytest.raises(ValueError, match="utf-8"):
        canonical_json.load(b'{"a":"\xff"}')


def test_numbers_of_any_length() -> None:
    assert canonical_json.load(b'{"a":' + b"9" * 5000 + b"}")["a"] == float("inf")
