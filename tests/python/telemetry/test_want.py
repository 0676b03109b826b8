# SPDX-License-Identifier: Apache-2.0
"""Wants as bytes."""

from __future__ import annotations

from typing import Any

import cbor2
import pytest

from edgeml.errors import WireError
from edgeml.telemetry.want import WANT_BYTES_MAX, Want, decode_want, encode_want

WANT = Want(
    rollout=7,
    digest=bytes(range(32)),
    shadow_inferences=100,
    shadow_disagreement_ppm=200_000,
    probation_inferences=300,
    probation_s=2,
    latency_ratio_milli=1500,
    error_ppm=10_000,
)


def test_the_bytes_are_pinned() -> None:
    payload = encode_want(WANT)
    assert payload.hex() == (
        "aa01010207035820000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f04f40518640"
        "61a00030d400719012c0802091905dc0a192710"
    )
    assert decode_want(payload) == WANT


@pytest.mark.parametrize("key", range(1, 11))
@pytest.mark.parametrize("value", [None, -1, "x", b"x", 1.5, [], 2**63])
def test_a_value_of_a_wrong_kind(key: int, value: Any) -> None:
    document = cbor2.loads(encode_want(WANT))
    with pytest.raises(WireError):
        decode_want(cbor2.dumps({**document, key: value}, canonical=True))


@pytest.mark.parametrize("key", range(1, 11))
def test_a_missing_key(key: int) -> None:
    document = cbor2.loads(encode_want(WANT))
    del document[key]
    with pytest.raises(WireError):
        decode_want(cbor2.dumps(document, canonical=True))


@pytest.mark.parametrize("payload", [b"", b"\x00", b"\xa0", b"\xff", bytes(WANT_BYTES_MAX + 1)])
def test_bytes_that_are_no_want(payload: bytes) -> None:
    with pytest.raises(WireError):
        decode_want(payload)
