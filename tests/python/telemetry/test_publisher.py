# SPDX-License-Identifier: Apache-2.0
"""The publisher and a real mosquitto: late brokers, brokers that die, acks that do not come, threads that die."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from edgeml.errors import UsageError
from edgeml.privacy import PrivacyBudget, release
from edgeml.telemetry import codec
from edgeml.telemetry.broker_address import BrokerAddress
from edgeml.telemetry.device_key import DeviceKey
from edgeml.telemetry.messages import Ack, Birth, LastWill
from edgeml.telemetry.mqtt import Destination, DeviceConnection
from edgeml.telemetry.publisher import Publisher, PublisherOptions
from edgeml.telemetry.spool import Spool, WindowSpan
from support.acking_fleet import AckingFleet, wait_for
from support.counting import raw_window, small_schema
from support.mosquitto import Mosquitto, mosquitto

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FAST = PublisherOptions(ack_timeout_s=0.3, backoff_min_s=0.05, backoff_max_s=0.2)
KEY = DeviceKey(bytes(32))
BUDGET = PrivacyBudget(epsilon="1000", per_release="1")


class Device:
    """A spool with a publisher, and windows at will."""

    def __init__(self, folder: Path, port: int, options: PublisherOptions = FAST) -> None:
        self.spool = Spool(folder, budget=BUDGET, now=time.time())
        birth = Birth(
            epoch=self.spool.epoch,
            edgeml_version="0",
            isa="ref",
            model_id=b"modelid8",
            schema_id=small_schema().id,
            model_name="small",
            time=0,
            ledger_head=self.spool.ledger.head(),
        )
        self.publisher = Publisher(
            self.spool,
            birth,
            to=Destination(broker=BrokerAddress(host="127.0.0.1", port=port), tenant="acme", device="d1", key=KEY),
            options=options,
        )

    def store(self, count: int = 1) -> None:
        for _ in range(count):
            reservation = self.spool.ledger.reserve(time.time())
            released = release(raw_window(), reservation=reservation, sensitivity=2)
            span = WindowSpan(model_id=b"modelid8", schema_id=small_schema().id, start=0, end=1)
            self.spool.store(released, reservation=reservation, span=span)
            self.publisher.notify()

    @property
    def is_empty(self) -> bool:
        return self.spool.spool_from() == self.spool.produced() + 1

    def close(self, flush_timeout_s: float = 10.0) -> None:
        self.publisher.stop(flush_timeout_s)
        self.spool.close()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with mosquitto(tmp_path) as running:
        yield running


def test_delivers_deletes_and_says_who_it_is(tmp_path: Path, broker: Mosquitto) -> None:
    with closing(AckingFleet(broker.port)) as fleet, closing(Device(tmp_path / "state", broker.port)) as device:
        device.store(3)
        device.spool.add_event("budget_spent", 7, "until tomorrow")
        device.publisher.start()
        wait_for(lambda: device.is_empty, "ack of 3 windows")
        wait_for(lambda: not device.spool.events(), "delivery of the event")
        wait_for(lambda: fleet.messages("evt"), "event")
        device.store()
        wait_for(lambda: len(fleet.windows) == 4 and device.is_empty, "ack of the fourth")
        births = fleet.messages("birth")
        assert isinstance(births[0], Birth)
        assert births[0].model_name == "small"
        assert births[0].time > 1_600_000_000
        assert not fleet.messages("lwt")


def test_close_sends_the_rest_and_no_last_will(tmp_path: Path, broker: Mosquitto) -> None:
    with closing(AckingFleet(broker.port)) as fleet:
        device = Device(tmp_path / "state", broker.port)
        device.publisher.start()
        device.store(200)
        device.close(30)
        assert len(fleet.windows) == 200
        with closing(Spool(tmp_path / "state", budget=BUDGET, now=0)) as spool:
            assert spool.spool_from() == 201
        assert not fleet.messages("lwt")


def test_close_without_a_broker_keeps_the_spool(tmp_path: Path, broker: Mosquitto) -> None:
    broker.kill()
    device = Device(tmp_path / "state", broker.port)
    device.publisher.start()
    device.store(3)
    device.close(30)
    with closing(Spool(tmp_path / "state", budget=BUDGET, now=0)) as spool:
        assert [window.seq for window in spool.windows(0)] == [1, 2, 3]


def test_a_broker_that_comes_late(tmp_path: Path, broker: Mosquitto) -> None:
    broker.kill()
    with closing(Device(tmp_path / "state", broker.port)) as device:
        device.publisher.start()
        device.store(5)
        time.sleep(0.3)
        broker.start()
        with closing(AckingFleet(broker.port)) as fleet:
            wait_for(lambda: device.is_empty, "ack after the broker came")
            assert sorted(seq for _, seq in fleet.windows) == [1, 2, 3, 4, 5]


def test_a_broker_killed_with_messages_in_flight_loses_nothing(tmp_path: Path, broker: Mosquitto) -> None:
    with closing(AckingFleet(broker.port)) as fleet, closing(Device(tmp_path / "state", broker.port)) as device:
        device.publisher.start()
        for _ in range(4):
            device.store(20)
            broker.kill()
            device.store(5)
            broker.start()
        wait_for(lambda: device.is_empty, "acks after four kills")
        assert sorted(seq for _, seq in fleet.windows) == list(range(1, 101))
        assert fleet.reports[-1].produced == 100


def test_a_fleet_that_is_silent_gets_everything_again(tmp_path: Path, broker: Mosquitto) -> None:
    with closing(AckingFleet(broker.port)) as fleet, closing(Device(tmp_path / "state", broker.port)) as device:
        fleet.acks = False
        device.store(3)
        device.publisher.start()
        wait_for(lambda: fleet.deliveries >= 9, "a second and a third delivery")
        assert device.spool.spool_from() == 1
        assert len(fleet.windows) == 3
        fleet.acks = True
        wait_for(lambda: device.is_empty, "the ack")


def test_acks_that_are_lies_or_noise_delete_nothing(tmp_path: Path, broker: Mosquitto) -> None:
    with closing(AckingFleet(broker.port)) as fleet, closing(Device(tmp_path / "state", broker.port)) as device:
        fleet.acks = False
        device.store(3)
        device.publisher.start()
        wait_for(lambda: fleet.deliveries >= 3, "delivery")
        epoch = device.spool.epoch
        where = "edgeml/v1/acme/d1/down/ack"
        for payload in (b"", b"\xff", b"\x9b" + b"\xff" * 8, codec.encode(LastWill(epoch=epoch))):
            fleet.publish(where, payload)
        fleet.publish(where, codec.encode(Ack(epoch=b"another!", contiguous_upto=3)))
        fleet.publish(where, codec.encode(Ack(epoch=epoch, contiguous_upto=99)))
        fleet.publish(where, codec.encode(Ack(epoch=epoch, contiguous_upto=0, holes=(2, 3))))
        fleet.publish("edgeml/v1/acme/d2/down/ack", codec.encode(Ack(epoch=epoch, contiguous_upto=3)))
        fleet.publish(where, codec.encode(Ack(epoch=epoch, contiguous_upto=1)))
        wait_for(lambda: device.spool.spool_from() == 2, "the one good ack")
        assert device.publisher.is_connected


def test_a_thread_that_dies_is_started_again(
    tmp_path: Path, broker: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(AckingFleet(broker.port)), closing(Device(tmp_path / "state", broker.port)) as device:
        with monkeypatch.context() as patch:
            patch.setattr(threading, "excepthook", lambda *_: None)

            def die(*_: object) -> None:
                raise SystemExit

            patch.setattr(Spool, "report", die)
            device.publisher.start()
            thread = next(thread for thread in threading.enumerate() if thread.name == "edgeml-publisher")
            wait_for(lambda: not thread.is_alive(), "death")
        device.store(2)
        device.publisher.start()
        wait_for(lambda: device.is_empty, "delivery by the new thread")


def test_an_error_nobody_foresaw_is_no_end(tmp_path: Path, broker: Mosquitto, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(AckingFleet(broker.port)), closing(Device(tmp_path / "state", broker.port)) as device:
        calls = []
        original = Spool.report

        def fail_twice(spool: Spool, after: int, now: float) -> object:
            calls.append(after)
            if len(calls) <= 2:
                raise RuntimeError("disk on fire")
            return original(spool, after, now)

        monkeypatch.setattr(Spool, "report", fail_twice)
        device.store(2)
        device.publisher.start()
        wait_for(lambda: device.is_empty, "delivery after two failures")


def test_a_device_that_dies_leaves_its_will(tmp_path: Path, broker: Mosquitto) -> None:
    with closing(AckingFleet(broker.port)) as fleet, closing(Device(tmp_path / "state", broker.port)) as device:
        device.publisher.start()
        wait_for(lambda: fleet.messages("birth"), "birth")
        taken_over = DeviceConnection(  # the broker ends the first connection of a device as if it had died
            Destination(broker=BrokerAddress(host="127.0.0.1", port=broker.port), tenant="acme", device="d1", key=KEY),
            device.publisher._protocol,
            device.spool.epoch,
        )
        taken_over.open()
        wait_for(lambda: fleet.messages("lwt"), "last will")
        assert fleet.messages("lwt")[0] == LastWill(epoch=device.spool.epoch)
        taken_over.close()


def test_a_broker_that_hangs_up_on_mqtt_5_is_spoken_to_in_3_1_1(tmp_path: Path) -> None:
    """The protocol level of CONNECT is the byte after the name MQTT."""
    levels: list[int] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(20)
        device = Device(tmp_path / "state", server.getsockname()[1])
        device.store()
        device.publisher.start()
        while len(levels) < 3:
            with server.accept()[0] as client:
                packet = client.recv(200)
                levels.append(packet[packet.index(b"MQTT") + 4])
    device.close(0.2)
    assert levels == [5, 4, 5]


def test_a_server_that_never_answers_does_not_hold_up_the_end(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        device = Device(tmp_path / "state", server.getsockname()[1])
        device.publisher.start()
        device.store()
        device.close(0.2)


@pytest.mark.parametrize(
    "options", [{"backoff_min_s": 0}, {"backoff_min_s": 2, "backoff_max_s": 1}, {"ack_timeout_s": 0}]
)
def test_refuses_options(options: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        PublisherOptions(**options)


@pytest.mark.parametrize("url", ["", "127.0.0.1", "tcp://h", "mqtt://", "mqtt://h:99999", "mqtt://u:p@h", "mqtt://h/x"])
def test_refuses_a_broker_url(url: str) -> None:
    with pytest.raises(UsageError):
        BrokerAddress.from_url(url)


def test_broker_urls() -> None:
    assert BrokerAddress.from_url("mqtt://h") == BrokerAddress(host="h", port=1883)
    assert BrokerAddress.from_url("mqtt://[::1]:7") == BrokerAddress(host="::1", port=7)
