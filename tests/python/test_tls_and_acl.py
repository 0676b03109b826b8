# SPDX-License-Identifier: Apache-2.0
"""The broker that examples/mosquitto describes: TLS with client certificates, and a device that is kept in its subtree."""

from __future__ import annotations

import threading
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import paho.mqtt.client as mqtt
import pytest
import sqlalchemy as sa
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from edgeml.device.monitor import Monitor
from edgeml.errors import UsageError
from edgeml.fleet.collector import Collector
from edgeml.fleet.store import tables as t
from edgeml.fleet.store.device_keys import add_keys
from edgeml.fleet.store.engine import open_store, reading, writing
from edgeml.privacy import PrivacyBudget
from edgeml.telemetry.broker_address import BrokerAddress, TlsFiles
from edgeml.telemetry.device_key import DeviceKey
from edgeml.telemetry.publisher import PublisherOptions
from support.acking_fleet import wait_for
from support.numpy_session import NumpySession
from support.tls_broker import TlsBroker, tls_broker

if TYPE_CHECKING:
    from collections.abc import Iterator

FAST = PublisherOptions(ack_timeout_s=1.0, backoff_min_s=0.05, backoff_max_s=0.3)
BUDGET = PrivacyBudget(epsilon="1000", per_release="1")


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsBroker]:
    with tls_broker(tmp_path_factory.mktemp("broker"), "collector", "gate-7", "gate-8", "v5", "v3.1.1") as running:
        yield running


class Client:
    """Any MQTT client with a certificate: what it gets, and how the broker answers what it sends."""

    def __init__(self, broker: TlsBroker, name: str) -> None:
        self.got: list[tuple[str, bytes]] = []
        self.answers: dict[int, Any] = {}
        ready = threading.Event()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
        self._client.tls_set_context(broker.tls(name).context())
        self._client.on_message = lambda _c, _u, message: self.got.append((message.topic, message.payload))
        self._client.on_publish = lambda _c, _u, mid, reason, _p: self.answers.update({mid: reason})
        self._client.on_subscribe = lambda *_: ready.set()
        self._client.connect("127.0.0.1", broker.port)
        self._client.loop_start()
        self._client.subscribe("#", qos=1)
        assert ready.wait(20)

    def is_allowed(self, topic: str) -> bool:
        sent = self._client.publish(topic, topic.encode(), qos=1)
        wait_for(lambda: sent.mid in self.answers, "the answer of the broker")
        return not self.answers[sent.mid].is_failure

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


def test_a_device_is_pinned_to_its_own_subtree(broker: TlsBroker) -> None:
    with (
        closing(Client(broker, "gate-7")) as device,
        closing(Client(broker, "gate-8")) as other,
        closing(Client(broker, "collector")) as collector,
    ):
        own = [f"edgeml/v1/default/gate-7/up/{channel}" for channel in ("birth", "tel", "evt", "lwt", "agg")]
        foreign = [
            "edgeml/v1/default/gate-8/up/tel",
            "edgeml/v1/acme/gate-7/up/tel",
            "edgeml/v1/default/gate-7/down/ack",
            "edgeml/v1/default/gate-8/down/ack",
            "edgeml/v1/default/collector/up/tel",
            "edgeml/v2/default/gate-7/up/tel",
            "anything",
        ]
        assert [topic for topic in (*own, *foreign) if device.is_allowed(topic)] == own
        acks = ["edgeml/v1/default/gate-7/down/ack", "edgeml/v1/acme/gate-9/down/ack"]
        assert [topic for topic in (*acks, *own, "anything") if collector.is_allowed(topic)] == acks
        wait_for(lambda: device.got, "the ack")
        wait_for(lambda: len(collector.got) == len(own), "what the device said")
        assert device.got == [(acks[0], acks[0].encode())]
        assert sorted(topic for topic, _ in collector.got) == sorted(own)
        assert other.got == []


@contextmanager
def collecting(engine: sa.Engine, address: BrokerAddress, *, mqtt_5: bool) -> Iterator[None]:
    stop = threading.Event()
    thread = threading.Thread(target=Collector(engine, address, period_s=3600, mqtt_5=mqtt_5).run, args=(stop,))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_windows_reach_the_store_over_tls(tmp_path: Path, broker: TlsBroker, version: str) -> None:
    name = f"v{version}"  # the broker retains births of other tests
    engine = open_store(f"sqlite:///{tmp_path / 'fleet.db'}")
    key = DeviceKey.create(tmp_path / "device.key")
    with writing(engine) as connection:
        add_keys(connection, {("default", name): key.public}, now_s=0)
    with collecting(engine, broker.address("collector"), mqtt_5=version == "5"):
        monitor = Monitor(
            NumpySession(),  # type: ignore[arg-type]
            state=tmp_path / "state",
            device=name,
            broker=f"mqtts://127.0.0.1:{broker.port}",
            tls=broker.tls(name),
            key=tmp_path / "device.key",
            budget=BUDGET,
            publisher=FAST,
        )
        with monitor:
            if version == "3.1.1":
                monitor._publisher._protocol = MQTTProtocolVersion.MQTTv311
            for _ in range(5):
                assert monitor.release_window()
            wait_for(lambda: monitor.status().windows_waiting == 0, "the acks")
            assert monitor.status().is_connected
    with reading(engine) as connection:
        assert len(connection.execute(sa.select(t.window.c.seq)).all()) == 6
        query = sa.select(t.quarantine.c.reason).where(t.quarantine.c.topic.contains(f"/{name}/"))
        assert connection.execute(query).all() == []
    engine.dispose()


def test_no_certificate_or_a_foreign_one_is_no_connection(tmp_path: Path, broker: TlsBroker) -> None:
    strangers = TlsBroker(tmp_path, "gate-7")  # another authority
    for tls in (
        TlsFiles(ca=broker.folder / "ca.pem"),
        TlsFiles(ca=broker.folder / "ca.pem", certificate=tmp_path / "gate-7.pem", key=tmp_path / "gate-7.key"),
        strangers.tls("gate-7"),
    ):
        with Monitor(
            NumpySession(),  # type: ignore[arg-type]
            state=tmp_path / "state",
            device="gate-7",
            broker=f"mqtts://127.0.0.1:{broker.port}",
            tls=tls,
            budget=BUDGET,
            publisher=FAST,
        ) as monitor:
            monitor.release_window()
            status = monitor.close(flush_timeout_s=1.0)
        assert status.windows_waiting == status.windows_produced >= 2


@pytest.mark.parametrize(
    "files",
    [
        {"ca": "none.pem"},
        {"ca": "acl"},
        {"ca": "ca.pem", "certificate": "gate-7.pem", "key": "gate-8.key"},
        {"ca": "ca.pem", "certificate": "acl", "key": "gate-8.key"},
    ],
)
def test_files_that_are_no_certificates(broker: TlsBroker, files: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="tls:"):
        TlsFiles(**{name: broker.folder / file for name, file in files.items()}).context()


def test_what_cannot_be() -> None:
    with pytest.raises(UsageError, match="go together"):
        TlsFiles(certificate=Path("a"))
    with pytest.raises(UsageError, match="write mqtts://"):
        BrokerAddress.from_url("mqtt://host", TlsFiles(ca=Path("a")))
    assert BrokerAddress.from_url("mqtts://host") == BrokerAddress(host="host", port=8883, tls=TlsFiles())
