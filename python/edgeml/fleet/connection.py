# SPDX-License-Identifier: Apache-2.0
"""One MQTT connection of a collector: MQTT 5 with a shared subscription, or 3.1.1; acks by hand, after the commit."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, Final

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from edgeml.telemetry import codec
from edgeml.telemetry.topics import PREFIX, RETAINED_CHANNELS, UP_FILTER

if TYPE_CHECKING:
    from edgeml.fleet.store.intake import AckTo
    from edgeml.telemetry.broker_address import BrokerAddress

log: Final = logging.getLogger(__name__)

SHARED_FILTER: Final = f"$share/collectors/{UP_FILTER}"
RETAINED_FILTERS: Final = tuple(f"{PREFIX}/+/+/up/{channel}" for channel in RETAINED_CHANNELS)
MESSAGES_PER_BATCH_MAX: Final = 200
RECEIVE_MAX: Final = 100  # messages that a broker may send ahead of our MQTT acks
KEEPALIVE_S: Final = 30
CONNECT_TIMEOUT_S: Final = 5.0
IDLE_S: Final = 0.2  # how long an idle collector waits for the broker before it looks for the stop signal


class Connection:
    """One MQTT connection from CONNECT to its end; paho's own reconnecting is not used."""

    def __init__(self, broker: BrokerAddress, protocol: MQTTProtocolVersion) -> None:
        self.is_open = True
        self.subscribed = False
        self.protocol_refused = False
        self.version = "5" if protocol == mqtt.MQTTv5 else "3.1.1"
        self._broker = broker
        self._protocol = protocol
        self._messages: list[mqtt.MQTTMessage] = []
        self._deadline = time.monotonic() + CONNECT_TIMEOUT_S
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2, protocol=protocol, manual_ack=True, reconnect_on_failure=False
        )
        if broker.tls is not None:
            self._client.tls_set_context(broker.tls.context())
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_disconnect = self._on_disconnect
        self._client.on_message = lambda _client, _userdata, message: self._messages.append(message)

    def open(self) -> None:
        """Send CONNECT; raises OSError where nobody listens."""
        arguments: dict[str, Any] = {}
        if self._protocol == mqtt.MQTTv5:
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            properties.SessionExpiryInterval = 0  # what a dead collector had not acknowledged goes to another at once
            properties.ReceiveMaximum = RECEIVE_MAX
            arguments = {"clean_start": True, "properties": properties}
        self._client.connect(self._broker.host, self._broker.port, KEEPALIVE_S, **arguments)

    def read(self) -> list[mqtt.MQTTMessage]:
        """Wait a little for messages, then take all that have come, at most MESSAGES_PER_BATCH_MAX."""
        self._messages = []
        timeout_s = IDLE_S
        while len(self._messages) < MESSAGES_PER_BATCH_MAX:
            before = len(self._messages)
            if self._client.loop(timeout_s) != mqtt.MQTT_ERR_SUCCESS:
                self.is_open = False
            if len(self._messages) == before or not self.is_open:
                break
            timeout_s = 0.0
        if not self.subscribed and time.monotonic() > self._deadline:
            log.warning("broker %s does not answer as MQTT %s", self._broker, self.version)
            self.is_open, self.protocol_refused = False, True
        return self._messages

    def acknowledge(self, messages: list[mqtt.MQTTMessage]) -> None:
        """Tell the broker that it may forget these messages."""
        for message in messages:
            if self.is_open and message.qos:
                self._client.ack(message.mid, message.qos)

    def publish(self, to: AckTo) -> None:
        """Send an ack to a device. One that is lost is no harm: the device sends again and is told again."""
        if self.is_open:
            self._client.publish(str(to.topic), codec.encode(to.ack), qos=1)

    def close(self) -> None:
        """Send DISCONNECT if there is a connection."""
        self._client.disconnect()

    def _on_connect(self, client: mqtt.Client, _userdata: Any, _flags: Any, reason: Any, properties: Any) -> None:
        if reason.is_failure:
            self.is_open = False
            self.protocol_refused = "protocol" in str(reason).lower()
            if not self.protocol_refused:
                log.warning("broker %s refuses the connection: %s", self._broker, reason)
            return
        shared = self._protocol == mqtt.MQTTv5 and getattr(properties, "SharedSubscriptionAvailable", 1) == 1
        # A shared subscription does not get retained messages; the second one does.
        filters = (SHARED_FILTER, *RETAINED_FILTERS) if shared else (UP_FILTER,)
        client.subscribe([(one, 1) for one in filters])

    def _on_subscribe(self, _client: Any, _userdata: Any, _mid: int, reasons: list[Any], _properties: Any) -> None:
        if any(reason.is_failure for reason in reasons):
            log.warning("broker %s refuses the subscription: %s", self._broker, ", ".join(map(str, reasons)))
            self.is_open = False
            return
        self.subscribed = True

    def _on_disconnect(self, _client: Any, _userdata: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if self.subscribed and reason.is_failure:
            log.warning("broker %s: connection lost: %s", self._broker, reason)
        if not self.subscribed and self._protocol == mqtt.MQTTv5:
            self.protocol_refused = True  # an old broker may just hang up
        self.is_open = False
