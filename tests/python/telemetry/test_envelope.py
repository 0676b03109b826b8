# SPDX-License-Identifier: Apache-2.0
"""The signed envelope: its bytes pinned, every changed bit found, bound to its topic."""

from __future__ import annotations

import cbor2
import pytest

from edgeml.errors import WireError
from edgeml.telemetry import envelope
from edgeml.telemetry.device_key import DeviceKey
from edgeml.telemetry.messages import MESSAGE_BYTES_MAX

KEY = DeviceKey(bytes(range(32)))
TOPIC = "edgeml/v1/acme/gate-7/up/lwt"
MESSAGE = bytes.fromhex("a201010248000102030405 0607".replace(" ", ""))
SEALED = "a2014d" + MESSAGE.hex() + "025840" + KEY.sign(b"edgeml envelope 1\0" + TOPIC.encode() + b"\0" + MESSAGE).hex()


def test_bytes_of_an_envelope() -> None:
    assert envelope.seal(TOPIC, MESSAGE, KEY).hex() == SEALED
    assert envelope.unseal(bytes.fromhex(SEALED)).message == MESSAGE


def is_good(payload: bytes, topic: str = TOPIC) -> bool:
    try:
        return envelope.unseal(payload).is_signed_by_any((bytes(32), KEY.public), topic)
    except WireError:
        return False


def test_every_changed_bit_and_length_is_found() -> None:
    payload = envelope.seal(TOPIC, MESSAGE, KEY)
    assert is_good(payload)
    for at in range(len(payload)):
        for bit in range(8):
            changed = bytearray(payload)
            changed[at] ^= 1 << bit
            assert not is_good(bytes(changed)), (at, bit)
        assert not is_good(payload[:at])
    assert not is_good(payload + b"\0")


def test_a_message_counts_on_its_own_topic_alone() -> None:
    payload = envelope.seal(TOPIC, MESSAGE, KEY)
    for other in ("edgeml/v1/acme/gate-8/up/lwt", "edgeml/v1/acme/gate-7/up/birth", "edgeml/v1/other/gate-7/up/lwt"):
        assert not is_good(payload, other)
    assert not envelope.unseal(payload).is_signed_by_any((), TOPIC)


@pytest.mark.parametrize(
    "document",
    [
        [],
        1,
        {},
        {1: MESSAGE},
        {2: bytes(64)},
        {1: "text", 2: bytes(64)},
        {1: MESSAGE, 2: bytes(63)},
        {1: MESSAGE, 2: 5},
    ],
)
def test_what_is_no_envelope(document: object) -> None:
    with pytest.raises(WireError):
        envelope.unseal(cbor2.dumps(document, canonical=True))


def test_the_limit_is_that_of_the_whole_payload() -> None:
    most = MESSAGE_BYTES_MAX - len(envelope.seal(TOPIC, bytes(70_000), KEY)) + 70_000
    assert len(envelope.seal(TOPIC, bytes(most), KEY)) == MESSAGE_BYTES_MAX
    with pytest.raises(WireError):
        envelope.seal(TOPIC, bytes(most + 1), KEY)
