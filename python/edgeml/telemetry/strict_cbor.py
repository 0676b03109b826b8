# SPDX-License-Identifier: Apache-2.0
"""CBOR from an untrusted sender: only the deterministic encoding, checked before `cbor2` sees a byte.

`cbor2` alone acts on tags (regular expressions, dates, shared references) and on lengths that the bytes do not back.
The native core walks the heads first (cpp/src/wire/strict_cbor.h) and lets pass: integers, byte strings, UTF-8 text,
arrays, maps with ascending integer keys, simple values and floats; shortest heads, definite lengths, no tags.
"""

from __future__ import annotations

from typing import Any

import cbor2

from edgeml import _core
from edgeml.errors import WireError


def loads(data: bytes, *, bytes_max: int) -> Any:
    """Decode one item that fills `data`.

    Raises:
        WireError: longer than `bytes_max`, or anything but the deterministic encoding described above.
    """
    if len(data) > bytes_max:
        raise WireError(f"message has {len(data)} bytes, at most {bytes_max} are allowed")
    if fault := _core.cbor_fault(data):
        raise WireError(fault)
    try:
        return cbor2.loads(data)
    except (cbor2.CBORDecodeError, ValueError, TypeError, UnicodeDecodeError) as error:
        raise WireError(f"message is not CBOR: {error}") from error
