# SPDX-License-Identifier: Apache-2.0
"""JSON as the artifact holds it: one object, UTF-8, no white space between tokens, keys ascending and distinct."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

DEPTH_MAX: Final = 32
INTEGER_DIGITS_MAX: Final = 4000  # Python reads longer ones only as float
_STRING: Final = re.compile(r'"((?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*)"')
_SCALAR: Final = re.compile(r"true|false|null|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")


def dump(value: Mapping[str, Any]) -> bytes:
    """Sorted keys, no spaces. Raises ValueError for NaN and infinities."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def load(data: bytes) -> dict[str, Any]:
    """Read an object.

    Raises:
        ValueError: not UTF-8, not JSON, not an object, nested deeper than DEPTH_MAX, white space between tokens, or keys that are
            not in ascending order of their written form.
    """
    text = data.decode()
    if not text.startswith("{") or _value(text, 0, 0) != len(text):
        raise ValueError("not one canonical JSON object")
    return dict(
        json.loads(text, parse_int=lambda digits: int(digits) if len(digits) < INTEGER_DIGITS_MAX else float(digits))
    )


def _value(text: str, at: int, depth: int) -> int:
    """Where the value that begins at `at` ends. Raises ValueError."""
    if text.startswith(("{", "["), at):
        if depth >= DEPTH_MAX:
            raise ValueError("nested too deep")
        return _members(text, at, depth, is_object=text[at] == "{")
    match = _STRING.match(text, at) or _SCALAR.match(text, at)
    if match is None:
        raise ValueError(f"no value at {at}")
    return match.end()


def _members(text: str, at: int, depth: int, *, is_object: bool) -> int:
    closing = "}" if is_object else "]"
    at += 1
    if text.startswith(closing, at):
        return at + 1
    previous: str | None = None
    while True:
        if is_object:
            key = _STRING.match(text, at)
            if key is None or not text.startswith(":", key.end()) or (previous is not None and key[1] <= previous):
                raise ValueError(f"no key, or one out of order, at {at}")
            previous, at = key[1], key.end() + 1
        at = _value(text, at, depth + 1)
        if text.startswith(closing, at):
            return at + 1
        if not text.startswith(",", at):
            raise ValueError(f"no comma at {at}")
        at += 1
