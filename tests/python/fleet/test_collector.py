# SPDX-License-Identifier: Apache-2.0
"""Collectors on real brokers: acks after the commit, hostile payloads, death in the middle of a batch."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import cbor2
import numpy as np
import paho.mqtt.client as mqtt
import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from paho.mqtt.enums import CallbackAPIVersion

from edgeml.fleet.books import books
from edgeml.fleet.broker import EmbeddedBroker
from edgeml.fleet.collector import Collector
from edgeml.fleet.received import Received, Rejected, read_message
from edgeml.fleet.store import tables as t
from edgeml.fleet.store.device_keys import KeyCache, add_keys, remove_other_keys
from edgeml.fleet.store.engine import open_store, reading, writing
from edgeml.fleet.store.intake import take_in
from edgeml.telemetry import codec, envelope
from edgeml.telemetry.broker_address import BrokerAddress
from edgeml.telemetry.device_key import DeviceKey
from edgeml.telemetry.messages import Ack, Birth, LastWill, Message, Report
from edgeml.telemetry.topics import topic
from support.mosquitto import Mosquitto, free_port, mosquitto
from support.reports import (
    HEAD,
    KEY,
    MODEL_ID,
    NOON_S,
    known_key,
    normal_counts,
    normal_schema,
    received,
    report,
    sealed,
    window,
)
from support.snapshot import snapshot
from support.stores import NewStore

SCHEMA = normal_schema(features=2, bins=4)
TIMEOUT_S = 30.0


@pytest.fixture(params=["mosquitto", "embedded"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def mqtt_5(kind: str) -> bool:
    return kind == "mosquitto"


@pytest.fixture
def broker(kind: str, tmp_path: Path) -> Iterator[BrokerAddress]:
    if kind == "mosquitto":
        with mosquitto(tmp_path) as running:
            yield BrokerAddress(host="127.0.0.1", port=running.port)
    else:
        embedded = EmbeddedBroker("127.0.0.1", 0)
        yield embedded.address
        embedded.stop()


class Device:
    """The sending side: publishes messages and keeps the acks that come back."""

    def __init__(self, broker: BrokerAddress, name: str) -> None:
        self.name = name
        self.acks: list[Ack] = []
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2)
        self._client.on_message = self._on_message
        subscribed = threading.Event()
        self._client.on_connect = lambda client, *_: client.subscribe(topic("acme", name, "ack"), 1)
        self._client.on_subscribe = lambda *_: subscribed.set()
        self._client.reconnect_delay_set(1, 1)
        self._client.connect(broker.host, broker.port)
        self._client.loop_start()
        assert subscribed.wait(TIMEOUT_S)

    def _on_message(self, _client: object, _userdata: object, message: mqtt.MQTTMessage) -> None:
        ack = codec.decode("ack", bytes(message.payload))
        assert isinstance(ack, Ack)
        self.acks.append(ack)

    def send(self, channel: str, what: Message | bytes, *, retain: bool = False) -> None:
        name = topic("acme", self.name, channel)
        payload = what if isinstance(what, bytes) else sealed(name, what)
        self._client.publish(name, payload, qos=1, retain=retain)

    def send_to(self, name: str, payload: bytes) -> None:
        self._client.publish(name, payload, qos=1)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@contextmanager
def collecting(engine: sa.Engine, broker: BrokerAddress, *, mqtt_5: bool) -> Iterator[Collector]:
    stop = threading.Event()
    collector = Collector(engine, broker, period_s=3600, mqtt_5=mqtt_5, clock=lambda: NOON_S)
    thread = threading.Thread(target=collector.run, args=(stop,))
    thread.start()
    try:
        assert collector.subscribed.wait(TIMEOUT_S)
        yield collector
    finally:
        stop.set()
        thread.join()


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def reports_of(device: int, count: int) -> list[Report]:
    """Single-window reports of one device, all different."""
    rng = np.random.default_rng(device)
    return [
        report(device.to_bytes(8, "big"), [window(seq, normal_counts(SCHEMA, rng), SCHEMA.id)], spool_from=1)
        for seq in range(1, count + 1)
    ]


def oracle(folder: Path, reports: dict[str, list[Report]]) -> dict[str, list[tuple[object, ...]]]:
    """What one process without a broker makes of these reports."""
    engine = open_store(f"sqlite:///{folder / 'oracle.db'}")
    push_schema(engine)
    with writing(engine) as connection:
        batch = [received(name, one) for name, all_of_it in reports.items() for one in all_of_it]
        take_in(connection, batch, now_s=NOON_S, period_s=3600)
    return snapshot(engine)


def push_schema(engine: sa.Engine) -> None:
    """Make the schema known, and the devices."""
    with writing(engine) as connection:
        names = ("device-1", *(f"device-{i}" for i in range(4)))
        add_keys(connection, {("acme", name): KEY.public for name in names}, now_s=NOON_S)
        row = {"schema_id": SCHEMA.id, "slots": SCHEMA.slot_count, "document": SCHEMA.to_bytes()}
        connection.execute(sa.insert(t.telemetry_schema), row)


def sqlite_store(folder: Path) -> sa.Engine:
    engine = open_store(f"sqlite:///{folder / 'fleet.db'}")
    push_schema(engine)
    return engine


def test_stores_and_then_acknowledges(
    broker: BrokerAddress,
    mqtt_5: bool,
    tmp_path: Path,
) -> None:
    engine = sqlite_store(tmp_path)
    reports = {f"device-{i}": reports_of(i, 20) for i in range(3)}
    devices = [Device(broker, name) for name in reports]
    with collecting(engine, broker, mqtt_5=mqtt_5):
        for device in devices:
            shuffled = reports[device.name] * 2
            random.Random(device.name).shuffle(shuffled)
            for one in shuffled:
                device.send("tel", one)
        for device in devices:
            wait_until(lambda device=device: any(ack.contiguous_upto == 20 for ack in device.acks))
    assert snapshot(engine) == oracle(tmp_path, reports)
    for index, device in enumerate(devices):
        assert {ack.epoch for ack in device.acks} == {index.to_bytes(8, "big")}
        device.close()


def test_malformed_messages_are_kept_aside_and_not_acknowledged(
    broker: BrokerAddress,
    mqtt_5: bool,
    tmp_path: Path,
) -> None:
    engine = sqlite_store(tmp_path)
    device = Device(broker, "device-1")
    one = reports_of(1, 1)[0]
    good = sealed(topic("acme", "device-1", "tel"), one)
    with collecting(engine, broker, mqtt_5=mqtt_5):
        for payload in (b"", b"\xff", good[:-1], good + b"\0", bytes(300 << 10)):
            device.send("tel", payload)
        device.send("evt", good)
        device.send_to("edgeml/v1/acme/device-1/up/nonsense", good)
        device.send_to("edgeml/v1/acme/device 1/up/tel", good)
        device.send_to("edgeml/v1/acme/device-1/up/tel/deeper", good)
        device.send("birth", b"", retain=True)  # a retained message that is cleared is nothing wrong
        device.send("tel", good)
        wait_until(lambda: len(device.acks) == 1)
    device.close()
    with reading(engine) as connection:
        rows = connection.execute(sa.select(t.quarantine.c.topic, t.quarantine.c.bytes)).all()
        counted = connection.execute(sa.select(t.counter.c.value)).scalar()
        assert len(connection.execute(sa.select(t.window)).all()) == 1
    assert counted == len(rows) == 9
    assert max(row.bytes for row in rows) == 300 << 10


def test_retained_birth_and_last_will_reach_a_collector_that_comes_later(
    broker: BrokerAddress,
    mqtt_5: bool,
    tmp_path: Path,
) -> None:
    engine = sqlite_store(tmp_path)
    epoch = bytes(8)
    birth = Birth(
        epoch=epoch,
        edgeml_version="0.1.0",
        isa="avx2",
        model_id=MODEL_ID,
        schema_id=SCHEMA.id,
        model_name="digits",
        time=NOON_S,
        ledger_head=HEAD,
    )
    device = Device(broker, "device-1")
    device.send("birth", birth, retain=True)
    device.send("lwt", LastWill(epoch=epoch), retain=True)
    device.send("tel", reports_of(0, 1)[0])
    device.close()
    query = sa.select(t.device.c.model_name, t.device.c.online)

    def state() -> list[tuple[object, ...]]:
        with reading(engine) as connection:
            return [tuple(row) for row in connection.execute(query)]

    with collecting(engine, broker, mqtt_5=mqtt_5):
        wait_until(lambda: state() == [("digits", False)])


def test_old_broker_that_does_not_answer_mqtt_5_is_asked_for_3_1_1(tmp_path: Path) -> None:
    engine = sqlite_store(tmp_path)
    embedded = EmbeddedBroker("127.0.0.1", 0)
    try:
        with collecting(engine, embedded.address, mqtt_5=True):
            pass
    finally:
        embedded.stop()


def test_absent_broker_is_waited_for_and_a_lost_one_found_again(tmp_path: Path) -> None:
    engine = sqlite_store(tmp_path)
    server = Mosquitto(tmp_path, free_port())
    address = BrokerAddress(host="127.0.0.1", port=server.port)
    stop = threading.Event()
    collector = Collector(engine, address, period_s=3600)
    thread = threading.Thread(target=collector.run, args=(stop,))
    thread.start()
    try:
        time.sleep(0.3)
        assert not collector.subscribed.is_set()
        for _ in range(2):
            server.start()
            assert collector.subscribed.wait(TIMEOUT_S)
            server.kill()
            wait_until(lambda: not collector.subscribed.is_set())
    finally:
        stop.set()
        thread.join()
        server.kill()


COLLECTOR_PROCESS = """
import sys, threading
from edgeml.telemetry.broker_address import BrokerAddress
from edgeml.fleet.collector import Collector
from edgeml.fleet.store.engine import open_store
broker = BrokerAddress(host="127.0.0.1", port=int(sys.argv[2]))
Collector(open_store(sys.argv[1]), broker, period_s=3600).run(threading.Event())
"""


@pytest.mark.parametrize("victim", ["collector", "broker"])
def test_kills_lose_and_double_nothing(victim: str, new_store: NewStore, tmp_path: Path) -> None:
    """Three collectors share the messages; one of them, or the broker, is killed again and again in the middle of it.

    Devices repeat what is not acked, out of order, as after a bad connection.
    """
    engine = open_store(new_store())
    push_schema(engine)
    reports = {f"device-{i}": reports_of(i, 200) for i in range(4)}
    server = Mosquitto(tmp_path, free_port())
    server.start()
    arguments = [sys.executable, "-c", COLLECTOR_PROCESS, str(engine.url), str(server.port)]
    collectors = [subprocess.Popen(arguments, stderr=subprocess.DEVNULL) for _ in range(3)]
    devices = [Device(BrokerAddress(host="127.0.0.1", port=server.port), name) for name in reports]
    chance = random.Random(4)
    deadline = time.monotonic() + 120
    kills = 0
    try:
        while kills < 4 or not all(any(ack.contiguous_upto == 200 for ack in device.acks) for device in devices):
            assert time.monotonic() < deadline, [device.acks[-1:] for device in devices]
            for device in devices:
                upto = max((ack.contiguous_upto for ack in device.acks), default=0)
                for one in chance.sample(part := reports[device.name][upto : upto + 25], len(part)):
                    device.send("tel", one)
            time.sleep(0.1 + 0.2 * chance.random())
            if kills < 4 and victim == "collector":
                os.kill(collectors[0].pid, signal.SIGKILL)
                collectors[0].wait()
                collectors[0] = subprocess.Popen(arguments, stderr=subprocess.DEVNULL)
            elif kills < 4:
                server.kill()
                server.start()
            kills += 1
    finally:
        for collector in collectors:
            collector.kill()
            collector.wait()
        for device in devices:
            device.close()
        server.kill()
    assert snapshot(engine) == oracle(tmp_path, reports)
    with reading(engine) as connection:
        assert {(book.produced, book.stored, book.unaccounted) for book in books(connection)} == {(200, 200, 0)}


def reasons(engine: sa.Engine) -> list[str]:
    with reading(engine) as connection:
        return list(connection.execute(sa.select(t.quarantine.c.reason).order_by(t.quarantine.c.id)).scalars())


def test_what_the_device_did_not_sign_is_kept_aside_with_the_reason(tmp_path: Path) -> None:
    """Unsigned, by another key, changed, on another topic, of a device that nobody provisioned, too large."""
    engine = sqlite_store(tmp_path)
    name = topic("acme", "device-1", "tel")
    first, second = reports_of(1, 2)
    signed = codec.encode(first)
    other_key = DeviceKey(bytes(32))
    replayed = cbor2.loads(sealed(name, first))
    with mosquitto(tmp_path) as server:
        device = Device(BrokerAddress(host="127.0.0.1", port=server.port), "device-1")
        with collecting(engine, BrokerAddress(host="127.0.0.1", port=server.port), mqtt_5=True):
            device.send("tel", codec.encode(first))
            device.send("tel", envelope.seal(name, signed, other_key))
            device.send("tel", cbor2.dumps({**replayed, 1: codec.encode(second)}, canonical=True))
            device.send("tel", sealed(topic("acme", "device-2", "tel"), first))
            device.send("tel", sealed(topic("acme", "device-1", "evt"), first))
            device.send("tel", cbor2.dumps({1: signed, 2: bytes(63)}, canonical=True))
            device.send("tel", bytes(300 << 10))
            device.send_to(topic("acme", "stranger", "tel"), sealed(topic("acme", "stranger", "tel"), first))
            device.send("tel", second)
            wait_until(lambda: len(device.acks) == 1)
        device.close()
    forged = "the signature is not that of the device for this topic and message"
    assert reasons(engine) == [
        "not a signed envelope",
        forged,
        forged,
        forged,
        forged,
        "envelope: the signature must be 64 bytes",
        f"message has {300 << 10} bytes, at most {256 << 10} are allowed",
        "device acme/stranger is not provisioned",
    ]
    with reading(engine) as connection:
        assert connection.execute(sa.select(t.window.c.seq)).scalars().all() == [2]
        assert connection.execute(sa.select(t.counter.c.value)).scalar() == 8
        assert connection.execute(sa.select(t.device.c.name)).scalars().all() == ["device-1"]


def test_a_device_that_is_provisioned_later_is_heard(tmp_path: Path) -> None:
    engine = sqlite_store(tmp_path)
    now = 0.0
    cache = KeyCache(engine, clock=lambda: now)
    name = topic("acme", "late", "tel")
    payload = sealed(name, reports_of(1, 1)[0])
    cache.fetch([("acme", "late")])
    assert isinstance(read_message(name, payload, cache), Rejected)
    with writing(engine) as connection:
        add_keys(connection, {("acme", "late"): KEY.public}, now_s=NOON_S)
    cache.fetch([("acme", "late")])
    assert isinstance(read_message(name, payload, cache), Rejected), "it asks the store once in a while"
    now = 11.0
    cache.fetch([("acme", "late")])
    assert isinstance(read_message(name, payload, cache), Received)
    new_key = DeviceKey(bytes(32))
    with writing(engine) as connection:
        add_keys(connection, {("acme", "late"): new_key.public}, now_s=NOON_S + 1)
    now = 22.0
    cache.fetch([("acme", "late")])
    assert isinstance(read_message(name, payload, cache), Received), "the old key and the new one"
    with writing(engine) as connection:
        assert remove_other_keys(connection, {("acme", "late"): new_key.public}) == 1
    now = 33.0
    cache.fetch([("acme", "late")])
    assert isinstance(read_message(name, payload, cache), Rejected)


@settings(max_examples=300, deadline=None)
@given(
    payload=st.one_of(
        st.binary(max_size=200),
        st.builds(
            lambda at, byte: (
                (good := bytearray(sealed("edgeml/v1/acme/d/up/tel", reports_of(1, 1)[0])))[: at % len(good)]
                + bytes([byte])
                + good[at % len(good) + 1 :]
            ),
            st.integers(0, 10_000),
            st.integers(0, 255),
        ).map(bytes),
    ),
    name=st.one_of(
        st.text(max_size=60),
        st.sampled_from(["tel", "birth", "evt", "lwt", "ack", "x"]).map(lambda c: f"edgeml/v1/acme/d/up/{c}"),
    ),
)
def test_reading_never_raises(payload: bytes, name: str) -> None:
    one = read_message(name, payload, known_key)
    assert one is None or isinstance(one, (Received, Rejected))
    if isinstance(one, Rejected):
        assert one.reason
