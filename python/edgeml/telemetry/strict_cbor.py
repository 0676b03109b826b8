# SPDX-License-Identifier: Apache-2.0
"""CBOR from an untrusted sender: only the deterministic encoding, checked before `cbor2` sees a byte.

`cbor2` alone acts on tags (regular expressions, dates, shared references) and on lengths that the bytes do not back.
`check` walks the heads of RFC 8949, section 3, without recursion, and lets pass: integers, byte strings, UTF-8 text,
arrays, maps with ascending integer keys, simple values and floats; shortest heads, definite lengths, no tags.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import Any, Final

import cbor2

from edgeml.errors import WireError

DEPTH_MAX: Final = 8

_NEGATIVE, _BYTES, _TEXT, _ARRAY, _MAP, _TAG, _SIMPLE = 1, 2, 3, 4, 5, 6, 7
_LEAST_OF_WIDTH: Final = {1: 24, 2: 1 << 8, 4: 1 << 16, 8: 1 << 32}  # a smaller argument has a shorter head


@dataclass
class _Open:
    """A container whose items are not all read yet."""

    items_left: int
    is_map: bool
    last_key: bytes = b""
    key_start: int = field(default=0)


def loads(data: bytes, *, bytes_max: int) -> Any:
    """Decode one item that fills `data`.

    Raises:
        WireError: longer than `bytes_max`, or anything but the deterministic encoding described above.
    """
    if len(data) > bytes_max:
        raise WireError(f"message has {len(data)} bytes, at most {bytes_max} are allowed")
    check(data)
    try:
        return cbor2.load(io.BytesIO(data))
    except (cbor2.CBORDecodeError, ValueError, TypeError, UnicodeDecodeError) as error:
        raise WireError(f"message is not CBOR: {error}") from error


def check(data: bytes) -> None:
    """Check that `data` is one item in deterministic encoding, without decoding it.

    Raises:
        WireError: it is not.
    """
    stack: list[_Open] = []
    at = 0
    while True:
        major, argument, after = _head(data, at)
        if major > _NEGATIVE and stack and stack[-1].is_map and stack[-1].items_left % 2 == 0:
            raise WireError(f"CBOR map key at byte {at} is not an integer")  # in Python True, 1.0 and 1 are one key
        if major in (_ARRAY, _MAP):
            if len(stack) == DEPTH_MAX:
                raise WireError(f"CBOR is nested deeper than {DEPTH_MAX} at byte {at}")
            items = argument * (2 if major == _MAP else 1)
            if items > len(data) - after:
                raise WireError(f"CBOR container at byte {at} says {argument} items, the message is too short for it")
            stack.append(_Open(items_left=items, is_map=major == _MAP, key_start=after))
        elif major in (_BYTES, _TEXT):
            if argument > len(data) - after:
                raise WireError(f"CBOR string at byte {at} says {argument} bytes, {len(data) - after} follow")
            after += argument
        at = after
        if major not in (_ARRAY, _MAP) or stack[-1].items_left == 0:
            at = _close(stack, data, at, pop=major in (_ARRAY, _MAP))
            if not stack:
                break
    if at != len(data):
        raise WireError(f"CBOR ends at byte {at}, the message has {len(data)}")


def _close(stack: list[_Open], data: bytes, at: int, *, pop: bool) -> int:
    """Count the item that ended at `at` in its container, and close the containers that are full with it."""
    if pop:
        stack.pop()
    while stack:
        top = stack[-1]
        top.items_left -= 1
        if top.is_map:
            if top.items_left % 2 == 1:  # a key has ended
                key = data[top.key_start : at]
                if key <= top.last_key:
                    raise WireError(f"CBOR map keys are not ascending at byte {top.key_start}")
                top.last_key = key
            else:
                top.key_start = at
        if top.items_left:
            break
        stack.pop()
    return at


def _head(data: bytes, at: int) -> tuple[int, int, int]:
    """Major type, argument and first byte after the head of the item at `at`."""
    if at >= len(data):
        raise WireError(f"CBOR is cut off at byte {at}")
    major, low = data[at] >> 5, data[at] & 31
    if major == _TAG:
        raise WireError(f"CBOR tag at byte {at} is not allowed")
    if low < 24:
        return major, low, at + 1
    if low > 27:
        raise WireError(f"CBOR head at byte {at} has no definite length")
    width = 1 << (low - 24)
    if at + 1 + width > len(data):
        raise WireError(f"CBOR is cut off at byte {len(data)}")
    argument = int.from_bytes(data[at + 1 : at + 1 + width], "big")
    least = 32 if major == _SIMPLE and width == 1 else 0 if major == _SIMPLE else _LEAST_OF_WIDTH[width]
    if argument < least:
        raise WireError(f"CBOR head at byte {at} is longer than needed")
    return major, argument, at + 1 + width
