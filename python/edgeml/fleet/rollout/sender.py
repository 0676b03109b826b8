# SPDX-License-Identifier: Apache-2.0
"""Sends wants to devices: retained messages, marked as sent once the broker has them. Any number of processes may do it."""

from __future__ import annotations

import time
from typing import Any, Final

import paho.mqtt.client as mqtt
import sqlalchemy as sa
from paho.mqtt.enums import CallbackAPIVersion

from edgeml.fleet.store import tables as t
from edgeml.fleet.store.engine import reading, writing
from edgeml.fleet.store.release_tables import want
from edgeml.telemetry.broker_address import BrokerAddress
from edgeml.telemetry.topics import topic

WANTS_PER_CONNECTION: Final = 1000
TIMEOUT_S: Final = 20.0
STEP_S: Final = 0.05


def send_wants(engine: sa.Engine, broker: BrokerAddress) -> int:
    """Send what is not sent yet, over a connection of its own; gives how many.

    Raises:
        OSError: the broker does not answer, or does not take them in time; they are sent the next time.
    """
    with reading(engine) as connection:
        query = (
            sa.select(want, t.device.c.tenant, t.device.c.name)
            .join(t.device, t.device.c.id == want.c.device_id)
            .where(~want.c.is_sent)
            .limit(WANTS_PER_CONNECTION)
        )
        rows = connection.execute(query).all()
    if not rows:
        return 0
    _publish(broker, [(topic(row.tenant, row.name, "want"), row.payload) for row in rows])
    update = sa.update(want).where(want.c.device_id == sa.bindparam("row"), want.c.payload == sa.bindparam("sent"))
    with writing(engine) as connection:  # a newer want that came meanwhile stays unsent
        connection.execute(update.values(is_sent=True), [{"row": row.device_id, "sent": row.payload} for row in rows])
    return len(rows)


def _publish(broker: BrokerAddress, messages: list[tuple[str, bytes]]) -> None:
    """Publish from one thread: MQTT 3.1.1, which every broker speaks; wants need nothing newer."""
    client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv311, reconnect_on_failure=False)
    taken: set[int] = set()
    is_ready = False

    def on_connect(_client: Any, _userdata: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        nonlocal is_ready
        if reason.is_failure:
            raise ConnectionError(f"broker {broker} refuses the connection: {reason}")
        is_ready = True

    if broker.tls is not None:
        client.tls_set_context(broker.tls.context())
    client.on_connect = on_connect
    client.on_publish = lambda _client, _userdata, mid, _reason, _properties: taken.add(mid)
    client.connect(broker.host, broker.port, keepalive=30)
    try:
        deadline = time.monotonic() + TIMEOUT_S
        sent: set[int] = set()
        while not sent or taken < sent:
            if client.loop(STEP_S) != mqtt.MQTT_ERR_SUCCESS or time.monotonic() > deadline:
                raise ConnectionError(f"broker {broker} took {len(taken)} of {len(messages)} wants")
            if is_ready and not sent:
                sent = {client.publish(name, payload, qos=1, retain=True).mid for name, payload in messages}
    finally:
        client.disconnect()
        client.loop(STEP_S)
