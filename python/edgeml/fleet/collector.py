# SPDX-License-Identifier: Apache-2.0
"""Takes telemetry from the broker into the store, and acknowledges it to the devices once it is committed.

Stateless and idempotent: any number of collectors may run, be killed, and see a message twice. One thread does it all:
read what the broker has, commit it, acknowledge to MQTT, acknowledge to the devices.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

import paho.mqtt.client as mqtt
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from edgeml.fleet.connection import Connection
from edgeml.fleet.received import Received, Rejected, read_message
from edgeml.fleet.store.engine import writing
from edgeml.fleet.store.intake import AckTo, take_in
from edgeml.telemetry.broker_address import BrokerAddress

log: Final = logging.getLogger(__name__)

RETRY_S_MAX: Final = 5.0


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
        read = [_read(message) for message in messages]
        acks = self._commit([one for one in read if one is not None], stop)
        if acks is None:
            return
        connection.acknowledge(messages)
        for to in acks:
            connection.publish(to)

    def _commit(self, batch: list[Received | Rejected], stop: threading.Event) -> list[AckTo] | None:
        """Store a batch, again and again if the database cannot now; None where `stop` came first."""
        for one in batch:
            if isinstance(one, Rejected):
                log.warning("quarantined a message on %.200r: %s", one.topic, one.reason)
        retry_s = 0.1
        while (acks := self._try_commit(batch)) is None:
            if stop.wait(retry_s):
                return None
            retry_s = min(RETRY_S_MAX, 2 * retry_s)
        return acks

    def _try_commit(self, batch: list[Received | Rejected]) -> list[AckTo] | None:
        try:
            with writing(self._engine) as connection:
                return take_in(connection, batch, now_s=int(self._clock()), period_s=self._period_s)
        except OperationalError as error:  # locked for long, disk full
            log.warning("the store does not take %d messages: %s; trying again", len(batch), error.orig)
            return None


def _read(message: mqtt.MQTTMessage) -> Received | Rejected | None:
    try:
        topic = message.topic
    except UnicodeDecodeError:
        return Rejected(topic="(not UTF-8)", payload=bytes(message.payload), reason="the topic is not UTF-8")
    return read_message(topic, bytes(message.payload), retained=message.retain)
