# SPDX-License-Identifier: Apache-2.0
"""Messages to bytes and back, the bytes of one report pinned, and hostile bytes."""

from __future__ import annotations

import random
from dataclasses import replace
from fractions import Fraction
from typing import Any

import cbor2
import numpy as np
import pytest

from edgeml.errors import WireError
from edgeml.privacy.ledger import Head
from edgeml.telemetry import codec
from edgeml.telemetry.messages import MESSAGE_BYTES_MAX, Ack, Birth, Event, LastWill, Message, Report, Window
from edgeml.telemetry.varint import pack_counts

EPOCH = bytes(range(8))
HEAD = Head(entries=12, hash=bytes(range(32)))
WINDOW = Window(
    seq=7,
    model_id=b"modelid8",
    schema_id=b"schemaid",
    start=1_700_000_000,
    end=1_700_000_300,
    packed_counts=pack_counts(np.array([0, -1, 1, 63, -64, 64, 300])),
    noise_scale=Fraction(9, 2),
    epsilon_micro=2_000_000,
)
REPORT = Report(
    epoch=EPOCH,
    produced=9,
    spool_from=7,
    windows=(WINDOW, replace(WINDOW, seq=9, merged=3)),
    epsilon_spent_micro=4_000_000,
    epsilon_budget_micro=8_000_000,
    ledger_head=HEAD,
    lost=((8, 8),),
)
MESSAGES: list[tuple[str, Message]] = [
    ("tel", REPORT),
    (
        "birth",
        Birth(
            epoch=EPOCH,
            edgeml_version="0.1.0",
            isa="avx2",
            model_id=b"modelid8",
            schema_id=b"schemaid",
            model_name="kws",
            time=1,
            ledger_head=HEAD,
        ),
    ),
    ("evt", Event(epoch=EPOCH, kind="budget_spent", time=1, detail="until tomorrow ☃")),
    ("ack", Ack(epoch=EPOCH, contiguous_upto=4, holes=(6, 9), ledger_head=HEAD)),
    ("lwt", LastWill(epoch=EPOCH)),
]
REPORT_HEX = (
    "a901010248000102030405060703090407058"
    "2a901070248 6d6f64656c696438 0348 736368656d616964 041a6553f100 051a6553f22c"
    "0649 0001027e7f8001d804 07820902 0801 091a001e8480"
    "a901090248 6d6f64656c696438 0348 736368656d616964 041a6553f100 051a6553f22c"
    "0649 0001027e7f8001d804 07820902 0803 091a001e8480"
    "061a003d0900 071a007a1200"
    "08820c5820 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f 0981820808"
).replace(" ", "")


def test_bytes_of_a_report_are_pinned() -> None:
    assert codec.encode(REPORT).hex() == REPORT_HEX


@pytest.mark.parametrize(("channel", "message"), MESSAGES, ids=[channel for channel, _ in MESSAGES])
def test_decodes_what_it_encodes(channel: str, message: Message) -> None:
    assert codec.decode(channel, codec.encode(message)) == message


@pytest.mark.parametrize(("channel", "message"), MESSAGES, ids=[channel for channel, _ in MESSAGES])
def test_unknown_keys_are_ignored(channel: str, message: Message) -> None:
    document = cbor2.loads(codec.encode(message))
    document[99] = {5: [1.5, None, True]}
    assert codec.decode(channel, cbor2.dumps(document, canonical=True)) == message


@pytest.mark.parametrize(("channel", "message"), MESSAGES, ids=[channel for channel, _ in MESSAGES])
def test_a_missing_or_mistyped_key_is_malformed(channel: str, message: Message) -> None:
    document = cbor2.loads(codec.encode(message))
    for key, value in document.items():
        bad: list[Any] = [None, True, 1.5, -1, 2**63, [[]], {}, "x" * 5000, b"x" * 7, {1: 1}]
        with pytest.raises(WireError):
            codec.decode(channel, cbor2.dumps({k: v for k, v in document.items() if k != key}, canonical=True))
        for other in bad:
            if type(other) is type(value) and other == value:
                continue
            with pytest.raises(WireError):
                codec.decode(channel, cbor2.dumps({**document, key: other}, canonical=True))


@pytest.mark.parametrize("key", range(1, 10))
def test_a_bad_window_is_malformed(key: int) -> None:
    document = cbor2.loads(codec.encode(REPORT))
    window = document[5][0]
    for other in (
        None,
        True,
        1.5,
        -1,
        2**63,
        [],
        [1],
        [0, 1],
        [1, 0],
        [2, 4],
        [1, 2, 3],
        {},
        "x",
        b"\x80",
        b"\x80\x00",
    ):
        document[5][0] = {**window, key: other}
        with pytest.raises(WireError):
            codec.decode("tel", cbor2.dumps(document, canonical=True))
    document[5][0] = {k: v for k, v in window.items() if k != key}
    with pytest.raises(WireError):
        codec.decode("tel", cbor2.dumps(document, canonical=True))


@pytest.mark.parametrize(
    "change",
    [
        {"produced": 8},
        {"spool_from": 8},
        {"spool_from": 11},
        {"spool_from": 0},
        {"windows": (), "lost": ()},
        {"lost": ((10, 10),)},
        {"lost": ((6, 7),)},
        {"lost": ((8, 7),)},
        {"lost": ((8, 8), (8, 9))},
        {"ledger_head": Head(entries=1, hash=bytes(31))},
        {"ledger_head": Head(entries=-1, hash=bytes(32))},
        {"ledger_head": None},
        {"windows": (WINDOW, WINDOW)},
        {"windows": tuple(replace(WINDOW, seq=i) for i in range(7, 72)), "produced": 80},
    ],
)
def test_a_report_that_contradicts_itself_cannot_be(change: dict[str, Any]) -> None:
    with pytest.raises(WireError):
        replace(REPORT, **change)


def test_an_ack_that_contradicts_itself_cannot_be() -> None:
    for holes in ((4,), (6, 6), (7, 6), tuple(range(10, 1035))):
        with pytest.raises(WireError):
            Ack(epoch=EPOCH, contiguous_upto=4, holes=holes)


HOSTILE = {
    "empty": b"",
    "trailing byte": codec.encode(REPORT) + b"\0",
    "byte string of 2^63 bytes": b"\x5b\x80" + b"\0" * 7,
    "array of 2^64 - 1 items": b"\x9b" + b"\xff" * 8,
    "map of 2^32 - 1 pairs": b"\xba" + b"\xff" * 4,
    "nested arrays": b"\x81" * 200_000 + b"\0",
    "nested maps": b"\xa1\x00" * 100_000 + b"\0",
    "indefinite array": b"\x9f\x00\xff",
    "indefinite map": b"\xbf\x01\x01\xff",
    "lone break": b"\xff",
    "regular expression tag": cbor2.dumps(cbor2.CBORTag(35, "(a+)+$")),
    "shared reference tag": b"\xd8\x1c\x81\xd8\x1d\x00",
    "bignum tag": b"\xc2\x49" + b"\xff" * 9,
    "longer head than needed": b"\xa1\x18\x01\x01",
    "keys descending": b"\xa2\x02\x00\x01\x01",
    "key repeated": b"\xa2\x01\x01\x01\x01",
    "text that is not UTF-8": b"\xa1\x01\x62\xc3\x28",
    "array as key": b"\xa1\x80\x01",
    "map as key": b"\xa1\xa0\x01",
    "true as key": b"\xa1\xf5\x01",
    "float as key": b"\xa1\xf9\x3c\x00\x01",
    "simple as key": b"\xa1\xe1\x01",
    "reserved simple": b"\xf8\x05",
    "too long": cbor2.dumps({1: 1, 2: b"x" * MESSAGE_BYTES_MAX}),
    "version 2": cbor2.dumps({1: 2}),
}


@pytest.mark.parametrize("channel", [channel for channel, _ in MESSAGES])
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_bytes_are_malformed(channel: str, name: str) -> None:
    with pytest.raises(WireError):
        codec.decode(channel, HOSTILE[name])


def test_unknown_channel() -> None:
    with pytest.raises(WireError):
        codec.decode("agg", codec.encode(REPORT))


@pytest.mark.parametrize(("channel", "message"), MESSAGES, ids=[channel for channel, _ in MESSAGES])
def test_every_truncation_is_malformed(channel: str, message: Message) -> None:
    payload = codec.encode(message)
    for length in range(len(payload)):
        with pytest.raises(WireError):
            codec.decode(channel, payload[:length])


def test_changed_bytes_are_malformed_or_decode_to_what_encodes_to_them() -> None:
    """Whatever passes is canonical, so a message has exactly one form on the wire."""
    source = random.Random(1)
    survivors = 0
    for channel, message in MESSAGES:
        payload = codec.encode(message)
        for _ in range(2000):
            changed = bytearray(payload)
            for _ in range(source.randint(1, 3)):
                changed[source.randrange(len(changed))] = source.randrange(256)
            try:
                decoded = codec.decode(channel, bytes(changed))
            except WireError:
                continue
            survivors += 1
            assert len(cbor2.loads(bytes(changed))) == len(cbor2.loads(payload))
            assert codec.encode(decoded) == bytes(changed)
    assert survivors > 100
