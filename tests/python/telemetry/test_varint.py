# SPDX-License-Identifier: Apache-2.0
"""Zigzag varints, against a version that goes count by count."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeml.errors import WireError
from edgeml.telemetry.varint import pack_counts, unpack_counts

INT64 = st.integers(-(2**63), 2**63 - 1)


def pack_one_by_one(counts: list[int]) -> bytes:
    packed = bytearray()
    for n in counts:
        zigzag = ((n << 1) ^ (n >> 63)) & (2**64 - 1)
        while zigzag >= 0x80:
            packed.append(zigzag & 0x7F | 0x80)
            zigzag >>= 7
        packed.append(zigzag)
    return bytes(packed)


@given(st.lists(st.one_of(INT64, st.integers(-200, 200)), max_size=40))
def test_equals_the_slow_version(counts: list[int]) -> None:
    packed = pack_counts(np.array(counts, dtype=np.int64))
    assert packed == pack_one_by_one(counts)
    assert unpack_counts(packed).tolist() == counts


@given(st.binary(max_size=40))
def test_any_bytes_are_counts_or_an_error(packed: bytes) -> None:
    try:
        counts = unpack_counts(packed)
    except WireError:
        return
    assert pack_counts(counts) == packed


@pytest.mark.parametrize(
    "packed",
    [
        b"\x80",
        b"\x01\xff",
        b"\x80\x00",
        b"\x81\x00",
        b"\xff" * 9 + b"\x02",
        b"\x80" * 10 + b"\x01",
        b"\xff" * 9 + b"\x80\x00",
    ],
)
def test_refuses(packed: bytes) -> None:
    with pytest.raises(WireError):
        unpack_counts(packed)
