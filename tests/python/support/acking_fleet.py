# SPDX-License-Identifier: Apache-2.0
"""The fleet as a device sees it, for tests of the device: keeps what comes, acknowledges as the test says."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from edgeml.telemetry import codec, envelope
from edgeml.telemetry.messages import NO_HEAD, Ack, Birth, Message, Report, Window
from edgeml.telemetry.topics import UP_FILTER, parse_topic, topic

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgeml.privacy.ledger import Head
    from edgeml.telemetry.broker_address import TlsFiles


class AckingFleet:
    """Connects to a broker on 127.0.0.1, and again whenever it is back."""

    def __init__(self, port: int, tls: TlsFiles | None = None) -> None:
        self.acks = True
        self.payloads: list[tuple[str, bytes]] = []  # every message: channel, bytes
        self.windows: dict[tuple[bytes, int], Window] = {}
        self.lost: set[tuple[bytes, int]] = set()
        self.heads: dict[bytes, Head] = {}  # what the fleet knows of each ledger
        self.deliveries = 0  # of windows, repeated ones too
        self.reports: list[Report] = []
        self._lock = threading.Lock()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
        if tls is not None:
            self._client.tls_set_context(tls.context())
        self._client.reconnect_delay_set(0.1, 0.2)  # type: ignore[arg-type]
        self._client.on_connect = lambda client, *_: client.subscribe(UP_FILTER, qos=1)
        self._client.on_message = self._on_message
        self._client.connect_async("127.0.0.1", port)
        self._client.loop_start()

    def _on_message(self, client: mqtt.Client, _userdata: Any, message: mqtt.MQTTMessage) -> None:
        where = parse_topic(message.topic)
        with self._lock:
            self.payloads.append((where.channel, message.payload))
            if where.channel not in ("tel", "birth"):
                return
            told = codec.decode(where.channel, envelope.unseal(message.payload).message)
            if isinstance(told, Report):
                self._take(told)
            if self.acks or isinstance(told, Birth):
                ack = self._ack(told.epoch) if self.acks else Ack(epoch=told.epoch, contiguous_upto=0)
                client.publish(topic(where.tenant, where.device, "ack"), codec.encode(ack), qos=1)

    def _take(self, report: Report) -> None:
        self.reports.append(report)
        self.heads[report.epoch] = report.ledger_head
        for window in report.windows:
            self.deliveries += 1
            kept = self.windows.setdefault((report.epoch, window.seq), window)
            assert kept == window, "sent again with other bytes"
        self.lost.update((report.epoch, seq) for first, last in report.lost for seq in range(first, last + 1))

    def _ack(self, epoch: bytes) -> Ack:
        ends = {window.first_seq: window.seq for (of, _), window in self.windows.items() if of == epoch}
        ends.update({seq: seq for of, seq in self.lost if of == epoch})
        upto = 0
        while upto + 1 in ends:
            upto = ends[upto + 1]
        holes = tuple(sorted(seq for seq in ends.values() if seq > upto))
        return Ack(epoch=epoch, contiguous_upto=upto, holes=holes, ledger_head=self.heads.get(epoch, NO_HEAD))

    def messages(self, channel: str) -> list[Message]:
        """Every message of a channel so far; empty ones, which only clear what was retained, left out."""
        with self._lock:
            sealed = [payload for name, payload in self.payloads if name == channel and payload]
        return [codec.decode(channel, envelope.unseal(payload).message) for payload in sealed]

    def publish(self, name: str, payload: bytes) -> None:
        """Send anything to any topic."""
        self._client.publish(name, payload, qos=1)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


def wait_for(condition: Callable[[], object], what: str, timeout_s: float = 30.0) -> None:
    """Wait until the condition holds; a generous limit, because machines are shared."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"never came: {what}")
        time.sleep(0.01)
