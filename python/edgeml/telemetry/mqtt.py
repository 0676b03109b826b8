# SPDX-License-Identifier: Apache-2.0
"""One MQTT connection of a device, from CONNECT to its end, driven by the caller's thread.

paho's own thread and reconnecting are not used: its thread can end without a word, and its queue would deliver again
what the spool delivers again anyway. Nothing here decides what is sent; that is publisher.py.
"""

from __future__ import annotations

import logging
import select
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from edgeml.errors import WireError
from edgeml.telemetry import codec, envelope
from edgeml.telemetry.messages import Ack, LastWill, Message
from edgeml.telemetry.topics import RETAINED_CHANNELS, topic

if TYPE_CHECKING:
    from edgeml.telemetry.broker_address import BrokerAddress
    from edgeml.telemetry.device_key import DeviceKey

KEEPALIVE_S: Final = (
    600  # longer than a window lasts: a device that reports needs no pings, which would cost more than windows
)
CONNECT_TIMEOUT_S: Final = 5.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Destination:
    """A device's place at a broker, and the key it signs with; tenant and device are 1 to 64 of `a-z A-Z 0-9 . _ -`.

    Raises:
        UsageError: a name cannot stand in a topic.
    """

    broker: BrokerAddress
    tenant: str
    device: str
    key: DeviceKey

    def __post_init__(self) -> None:
        self.topic("tel")

    def topic(self, channel: str) -> str:
        """Topic of a channel of this device."""
        return topic(self.tenant, self.device, channel)


class DeviceConnection:
    """A connection with last will, subscribed to the acks of the device."""

    def __init__(self, to: Destination, protocol: MQTTProtocolVersion, epoch: bytes) -> None:
        """Prepare a connection for the spool of `epoch`; `open` makes it."""
        self.is_open = False
        self.is_ready = False  # acks are subscribed: time to send
        self.protocol_refused = False
        self._to = to
        self._acks: list[Ack] = []
        self._delivered: list[int] = []
        self._wants: list[bytes] = []
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"edgeml-{to.tenant}-{to.device}",  # a second connection of a device replaces the first
            protocol=protocol,
            reconnect_on_failure=False,
        )
        self._client.connect_timeout = CONNECT_TIMEOUT_S
        if to.broker.tls is not None:
            self._client.tls_set_context(to.broker.tls.context())
        last_will = envelope.seal(to.topic("lwt"), codec.encode(LastWill(epoch=epoch)), to.key)
        self._client.will_set(to.topic("lwt"), last_will, qos=1, retain=True)
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_disconnect = self._on_disconnect
        self._client.on_message = self._on_message
        self._client.on_publish = self._on_publish
        self._is_v5 = protocol == MQTTProtocolVersion.MQTTv5

    def open(self) -> None:
        """Send CONNECT; raises OSError where nobody listens."""
        host, port = self._to.broker.host, self._to.broker.port
        if self._is_v5:
            self._client.connect(host, port, KEEPALIVE_S, clean_start=True)
        else:
            self._client.connect(host, port, KEEPALIVE_S)
        self.is_open = True

    def step(self, timeout_s: float, wake_fd: int) -> None:
        """Move bytes in both directions; waits up to `timeout_s` for some, or until `wake_fd` can be read."""
        sock = self._client.socket()
        if sock is None:
            self.is_open = False
            return
        poll = select.poll()
        poll.register(wake_fd, select.POLLIN)
        poll.register(sock, select.POLLIN | (select.POLLOUT if self._client.want_write() else 0))
        is_pending = (
            isinstance(sock, ssl.SSLSocket) and sock.pending() > 0
        )  # decrypted already, so poll does not see it
        events = dict(poll.poll(0 if is_pending else timeout_s * 1000))
        happened = events.get(sock.fileno(), 0) | (select.POLLIN if is_pending else 0)
        codes = []
        if happened & ~select.POLLOUT:
            codes.append(self._client.loop_read())
        if happened & select.POLLOUT and self._client.socket() is not None:
            codes.append(self._client.loop_write())
        codes.append(self._client.loop_misc())
        if any(code != mqtt.MQTT_ERR_SUCCESS for code in codes):
            self.is_open = False

    def publish(self, channel: str, message: Message) -> int:
        """Sign and queue a message, QoS 1; gives the id that `take_delivered` names once the broker has it."""
        topic = self._to.topic(channel)
        payload = envelope.seal(topic, codec.encode(message), self._to.key)
        return self._client.publish(topic, payload, qos=1, retain=channel in RETAINED_CHANNELS).mid

    def clear_last_will(self) -> None:
        """Take back the retained last will of an earlier connection."""
        self._client.publish(self._to.topic("lwt"), b"", qos=1, retain=True)

    def take_acks(self) -> list[Ack]:
        """Acks since the last call."""
        acks, self._acks = self._acks, []
        return acks

    def take_wants(self) -> list[bytes]:
        """Payloads of wants since the last call."""
        wants, self._wants = self._wants, []
        return wants

    def take_delivered(self) -> list[int]:
        """Ids of messages that the broker has taken since the last call."""
        delivered, self._delivered = self._delivered, []
        return delivered

    def close(self) -> None:
        """Send DISCONNECT, which keeps the last will from being sent, and close the socket."""
        self._client.disconnect()
        if self._client.socket() is not None:
            self._client.loop_write()
            self._client.loop_misc()

    def _on_connect(self, client: mqtt.Client, _userdata: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            self.is_open = False
            self.protocol_refused = "protocol" in str(reason).lower()
            if not self.protocol_refused:
                _log.warning("broker %s refuses the connection: %s", self._to.broker, reason)
            return
        client.subscribe([(self._to.topic(channel), 1) for channel in ("ack", "want")])

    def _on_subscribe(self, _client: Any, _userdata: Any, _mid: int, reasons: list[Any], _properties: Any) -> None:
        if any(reason.is_failure for reason in reasons):
            _log.warning("broker %s refuses the subscription: %s", self._to.broker, ", ".join(map(str, reasons)))
            self.is_open = False
            return
        self.is_ready = True

    def _on_disconnect(self, _client: Any, _userdata: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if not self.is_ready:
            self.protocol_refused = True  # a broker that speaks one version alone may just hang up
        elif reason.is_failure:
            _log.warning("broker %s: connection lost: %s", self._to.broker, reason)
        self.is_open = False

    def _on_publish(self, _client: Any, _userdata: Any, mid: int, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            _log.warning("broker %s refuses a message: %s", self._to.broker, reason)
        else:
            self._delivered.append(mid)

    def _on_message(self, _client: Any, _userdata: Any, message: mqtt.MQTTMessage) -> None:
        if message.topic == self._to.topic("want"):
            self._wants.append(bytes(message.payload))
            return
        try:
            ack = codec.decode("ack", bytes(message.payload))
        except WireError as error:
            _log.warning("message on %s ignored: %s", message.topic, error)
            return
        if isinstance(ack, Ack):
            self._acks.append(ack)
