# SPDX-License-Identifier: Apache-2.0
"""Window vectors as bytes: one zigzag varint a slot (docs/design/wire.md, section 4), packed by array, unpacked by the native core.

Zigzag: 0, -1, 1, -2, ... become 0, 1, 2, 3, ...; LEB128: 7 bits a byte, lowest first, high bit set if more follow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from edgeml import _core

if TYPE_CHECKING:
    from numpy.typing import NDArray

VARINT_BYTES_MAX: Final = 10  # 64 bits, 7 a byte

_SHIFTS: Final = np.arange(0, 7 * VARINT_BYTES_MAX, 7, dtype=np.uint64)


def pack_counts(counts: NDArray[np.int64]) -> bytes:
    """Pack a one-dimensional int64 vector."""
    signed = np.ascontiguousarray(counts, dtype=np.int64)
    zigzag = (signed.view(np.uint64) << np.uint64(1)) ^ (signed >> np.int64(63)).view(np.uint64)
    groups = (zigzag[:, None] >> _SHIFTS).astype(np.uint64)
    present = groups != 0
    present[:, 0] = True
    more = np.zeros_like(present)
    more[:, :-1] = present[:, 1:]
    octets = (groups & np.uint64(0x7F)).astype(np.uint8) | (more.astype(np.uint8) << np.uint8(7))
    packed: bytes = octets[present].tobytes()
    return packed


def unpack_counts(packed: bytes) -> NDArray[np.int64]:
    """Unpack what `pack_counts` made.

    Raises:
        WireError: cut off, longer than needed, or beyond 64 bits.
    """
    return _core.unpack_counts(packed)
