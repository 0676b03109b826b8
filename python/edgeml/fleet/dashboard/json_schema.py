# SPDX-License-Identifier: Apache-2.0
"""JSON schemas of our dataclasses, so that the API's description cannot differ from what it sends."""

from __future__ import annotations

import dataclasses
import types
import typing
from typing import Any, Final

SIMPLE: Final[dict[Any, dict[str, Any]]] = {
    int: {"type": "integer"},
    float: {"type": "number"},
    str: {"type": "string"},
    bool: {"type": "boolean"},
    Any: {},
}


def schema_of(kind: Any) -> dict[str, Any]:
    """Schema of a dataclass, a list, tuple or dict of such, a union with None, or a simple type.

    Raises:
        TypeError: of anything else.
    """
    if kind in SIMPLE:
        return dict(SIMPLE[kind])
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        properties = {field.name: schema_of(hints[field.name]) for field in dataclasses.fields(kind)}
        return {"type": "object", "properties": properties, "required": sorted(properties)}
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (list, tuple):
        return {"type": "array", "items": schema_of(arguments[0])}
    if origin is dict:
        return {"type": "object", "additionalProperties": schema_of(arguments[1])}
    if origin in (typing.Union, types.UnionType):
        return {"anyOf": [{"type": "null"} if one is type(None) else schema_of(one) for one in arguments]}
    raise TypeError(f"no JSON schema of {kind!r}")
