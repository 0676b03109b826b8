# SPDX-License-Identifier: Apache-2.0
"""Takes telemetry from the broker into the store, and acknowledges it to the devices once it is committed.

Stateless and idempotent: any number of collectors may run, be killed, and see a message twice. One thread does it all:
read what the broker has, commit it, acknowledge to MQTT, acknowledge to the devices.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from typing import Final, TypeVar

import paho.mqtt.client as mqtt
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from edgeml.errors import WireError
from edgeml.fleet.connection import Connection
from edgeml.fleet.received import Received, Rejected, read_message
from edgeml.fleet.store.device_keys import KeyCache
from edgeml.fleet.store.engine import writing
from edgeml.fleet.store.intake import AckTo, take_in
from edgeml.telemetry.broker_address import BrokerAddress
from edgeml.telemetry.topics import parse_topic

log: Final = logging.getLogger(__name__)

RETRY_S_MAX: Final = 5.0

T = TypeVar("T")


class Collector:
    """One collector; `run` works until `stop` is set. `subscribed` is set while the broker sends it messages."""

    def __init__(
        self,
        engine: sa.Engine,
        broker: BrokerAddress,
        *,
        period_s: int,
        mqtt_5: bool = True,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Prepare a collector; `mqtt_5`: whether to try MQTT 5 first. A broker that cannot is asked for 3.1.1."""
        self.subscribed: Final = threading.Event()
        self._engine = engine
        self._broker = broker
        self._period_s = period_s
        self._clock = clock
        self._keys = KeyCache(engine)
        self._protocol = mqtt.MQTTv5 if mqtt_5 else mqtt.MQTTv311

    def run(self, stop: threading.Event) -> None:
        """Collect until `stop` is set; whatever happens to the connection, it is made again."""
        retry_s = 0.1
        while not stop.is_set():
            connection = Connection(self._broker, self._protocol)
            try:
                connection.open()
                while not stop.is_set() and connection.is_open:
                    self._collect(connection, stop)
                    if connection.subscribed and not self.subscribed.is_set():
                        log.info("collecting from %s, MQTT %s", self._broker, connection.version)
                        self.subscribed.set()
                        retry_s = 0.1
            except OSError as error:
                log.warning("broker %s: %s", self._broker, error)
            except Exception:  # a bug of the MQTT library must not end the fleet's intake
                log.exception("broker %s: unexpected error, connecting again", self._broker)
            finally:
                self.subscribed.clear()
                connection.close()
            if connection.protocol_refused:
                self._protocol = mqtt.MQTTv311 if self._protocol == mqtt.MQTTv5 else mqtt.MQTTv5
            stop.wait(retry_s)
            retry_s = min(RETRY_S_MAX, 2 * retry_s)

    def _collect(self, connection: Connection, stop: threading.Event) -> None:
        messages = connection.read()
        if not messages:
            return
        batch = self._until_done(lambda: self._read(messages), stop)
        acks = None if batch is None else self._until_done(lambda: self._commit(batch), stop)
        if acks is None:
            return
        connection.acknowledge(messages)
        for to in acks:
            connection.publish(to)

    def _read(self, messages: Iterable[mqtt.MQTTMessage]) -> list[Received | Rejected]:
        named = [(_topic_of(message), message) for message in messages]
        self._keys.fetch(name for topic, _ in named if (name := _device_of(topic)) is not None)
        read = [
            Rejected(topic="(not UTF-8)", payload=bytes(message.payload), reason="the topic is not UTF-8")
            if topic is None
            else read_message(topic, bytes(message.payload), self._keys, retained=message.retain)
            for topic, message in named
        ]
        for one in read:
            if isinstance(one, Rejected):
                log.warning("quarantined a message on %.200r: %s", one.topic, one.reason)
        return [one for one in read if one is not None]

    def _commit(self, batch: list[Received | Rejected]) -> list[AckTo]:
        with writing(self._engine) as connection:
            return take_in(connection, batch, now_s=int(self._clock()), period_s=self._period_s)

    def _until_done(self, work: Callable[[], T], stop: threading.Event) -> T | None:
        """Give what `work` gives, called again and again if the database cannot now; None where `stop` came first."""
        retry_s = 0.1
        while True:
            try:
                return work()
            except OperationalError as error:  # locked for long, disk full
                log.warning("the store does not take messages: %s; trying again", error.orig)
            if stop.wait(retry_s):
                return None
            retry_s = min(RETRY_S_MAX, 2 * retry_s)


def _topic_of(message: mqtt.MQTTMessage) -> str | None:
    try:
        return str(message.topic)
    except UnicodeDecodeError:
        return None


def _device_of(topic: str | None) -> tuple[str, str] | None:
    try:
        parsed = parse_topic(topic or "")
    except WireError:  # read_message says why
        return None
    return parsed.tenant, parsed.device
