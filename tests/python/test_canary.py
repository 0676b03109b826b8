# SPDX-License-Identifier: Apache-2.0
"""Planted raw values, from a device through broker and collector into the store: found in no byte that anyone can read."""

from __future__ import annotations

import logging
import threading
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from edgeml.device.monitor import Monitor
from edgeml.fleet.collector import Collector
from edgeml.fleet.dashboard.app import make_app
from edgeml.fleet.store import tables as t
from edgeml.fleet.store.device_keys import add_keys
from edgeml.fleet.store.engine import open_store, reading, writing
from edgeml.fleet.tokens import add_token
from edgeml.privacy import PrivacyBudget
from edgeml.telemetry.broker_address import BrokerAddress
from edgeml.telemetry.device_key import DeviceKey
from edgeml.telemetry.publisher import PublisherOptions
from edgeml.telemetry.state_directory import KEY_FILE
from support.acking_fleet import AckingFleet, wait_for
from support.mosquitto import mosquitto
from support.numpy_session import NumpySession

TOKEN = "a token that only this test knows"  # noqa: S105  of this test only
CANARY = np.float32(0.6180339)
FAST = PublisherOptions(ack_timeout_s=1.0, backoff_min_s=0.05, backoff_max_s=0.2)


def spellings(value: np.float32) -> list[bytes]:
    wide = np.float64(value)
    packed = [value.tobytes(), value.byteswap().tobytes(), wide.tobytes(), wide.byteswap().tobytes()]
    return [*packed, f"{value:.6f}".encode(), f"{value:.4f}".encode(), repr(float(value)).encode()]


@pytest.mark.needs_program("mosquitto")
def test_a_raw_value_is_in_no_byte_of_wire_spool_ledger_store_log_or_metrics(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    engine = open_store(f"sqlite:///{tmp_path / 'fleet.db'}")
    state = tmp_path / "state"
    key = DeviceKey.create(state / KEY_FILE)
    with writing(engine) as connection:
        add_token(connection, name="test", role="viewer", now_s=0, secret=TOKEN)
        add_keys(connection, {("default", "gate-7"): key.public}, now_s=0)
    stop = threading.Event()
    with caplog.at_level(logging.DEBUG), mosquitto(tmp_path) as broker, closing(AckingFleet(broker.port)) as listener:
        listener.acks = False  # it only listens: what goes over the wire
        address = BrokerAddress(host="127.0.0.1", port=broker.port)
        collecting = threading.Thread(target=Collector(engine, address, period_s=3600).run, args=(stop,))
        collecting.start()
        try:
            with Monitor(
                NumpySession(),  # type: ignore[arg-type]
                state=state,
                device="gate-7",
                broker=f"mqtt://{address}",
                budget=PrivacyBudget(epsilon="8", per_release="1"),
                publisher=FAST,
            ) as monitor:
                outputs = monitor.run(None, {"x": np.full((500, 1), CANARY, dtype=np.float32)})[0]
                assert monitor.release_window()
                held = [path.read_bytes() for path in state.iterdir()]
                wait_for(lambda: monitor.status().windows_waiting == 0, "the ack of the collector")
                held += [path.read_bytes() for path in state.iterdir()]
        finally:
            stop.set()
            collecting.join()
        held += [payload for _, payload in listener.payloads]
    with reading(engine) as connection:
        released = connection.execute(sa.select(t.window.c.packed_counts)).scalars().first()
    held += [path.read_bytes() for path in tmp_path.glob("fleet.db*")]
    client = TestClient(make_app(engine, period_s=3600))
    pages = [client.get(path, headers={"authorization": f"Bearer {TOKEN}"}) for path in ("/", "/metrics")]
    assert [page.status_code for page in pages] == [200, 200]
    held += [page.content for page in pages]
    held += [caplog.text.encode(), repr(monitor).encode(), repr(monitor.status()).encode()]
    for needle in (*spellings(CANARY), *spellings(np.float32(outputs.max()))):
        assert not any(needle in part for part in held), needle
    assert isinstance(released, bytes)
    assert sum(released in part for part in held) >= 3, "the search finds what is there: spool, wire, store"
    engine.dispose()
