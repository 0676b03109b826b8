# SPDX-License-Identifier: Apache-2.0
"""CRC-32C (Castagnoli, RFC 3720 appendix B.4) in numpy: many equal pieces side by side, then joined by linearity.

A CRC without its initial value is linear over GF(2), and leading zero bytes do not change it. So the buffer,
zero-padded in front, is cut into pieces whose CRCs advance together, one byte column per step; then piece after piece
is joined: the zero bytes that the next piece appends to a CRC are a 32x32 bit matrix.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import numpy.typing as npt

POLYNOMIAL: Final = 0x82F63B78  # reflected
_Words = npt.NDArray[np.uint32]


def _make_table() -> _Words:
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = (table >> np.uint32(1)) ^ np.where(table & np.uint32(1), np.uint32(POLYNOMIAL), np.uint32(0))
    return table


_TABLE: Final = _make_table()


def _step(crc: _Words, byte: npt.NDArray[np.uint8] | np.uint8) -> _Words:
    stepped: _Words = _TABLE[(crc ^ byte) & np.uint32(0xFF)] ^ (crc >> np.uint32(8))
    return stepped


def _append_zeros(crc: int, basis: list[int]) -> int:
    result = 0
    for bit, column in enumerate(basis):
        if crc >> bit & 1:
            result ^= column
    return result


def crc32c(data: bytes | memoryview) -> int:
    """Return the CRC-32C of the bytes (0 for none)."""
    view = np.frombuffer(data, dtype=np.uint8)
    head = min(4, len(view))
    piece = max(1, math.isqrt(len(view)))  # bytes; about as many pieces as bytes in each
    pieces = -(-len(view) // piece)
    padded = np.zeros(pieces * piece, dtype=np.uint8)
    start = len(padded) - len(view)
    padded[start:] = view
    padded[start : start + head] ^= np.uint8(0xFF)  # the initial value ffffffff, moved into the data
    columns = padded.reshape(pieces, piece).T.copy()
    crcs = np.zeros(pieces, dtype=np.uint32)
    basis = np.uint32(1) << np.arange(32, dtype=np.uint32)
    for column in columns:
        crcs = _step(crcs, column)
        basis = _step(basis, np.uint8(0))
    total, matrix = 0, [int(b) for b in basis]
    for crc in crcs:
        total = _append_zeros(total, matrix) ^ int(crc)
    # A buffer shorter than the initial value leaves part of it in the register.
    return total ^ 0xFFFFFFFF ^ (0xFFFFFFFF >> (8 * head) if head < 4 else 0)
