# SPDX-License-Identifier: Apache-2.0
"""Window vectors as bytes: one zigzag varint a slot (docs/design/wire.md, section 4), packed and unpacked by array.

Zigzag: 0, -1, 1, -2, ... become 0, 1, 2, 3, ...; LEB128: 7 bits a byte, lowest first, high bit set if more follow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from edgeml.errors import WireError

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
    octets = np.frombuffer(packed, dtype=np.uint8)
    last = np.flatnonzero(octets < 0x80)
    if octets.size and (not last.size or last[-1] != octets.size - 1):
        raise WireError("counts are cut off")
    first = np.concatenate(([0], last[:-1] + 1)) if last.size else last
    length = last - first + 1
    if (length > VARINT_BYTES_MAX).any() or (octets[last][length == VARINT_BYTES_MAX] > 1).any():
        raise WireError("a count is beyond 64 bits")
    if (octets[last][length > 1] == 0).any():
        raise WireError("a count has more bytes than it needs")
    if not octets.size:
        return np.zeros(0, dtype=np.int64)
    place = np.arange(octets.size) - np.repeat(first, length)
    groups = (octets & 0x7F).astype(np.uint64) << _SHIFTS[place]
    zigzag = np.add.reduceat(groups, first)  # the groups of a count share no bit
    counts: NDArray[np.int64] = (zigzag >> np.uint64(1)).view(np.int64) ^ -(zigzag & np.uint64(1)).view(np.int64)
    return counts
