# SPDX-License-Identifier: Apache-2.0
"""What a day of 5-minute windows costs, counted: bytes to flash, bytes on the wire with TLS; and a month offline."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from edgeml.observe import Feature, Observer, TelemetrySchema
from edgeml.privacy import PrivacyBudget, release
from edgeml.privacy.ledger import DAY_S
from edgeml.telemetry.broker_address import BrokerAddress
from edgeml.telemetry.device_key import DeviceKey
from edgeml.telemetry.messages import Birth, Event
from edgeml.telemetry.mqtt import Destination
from edgeml.telemetry.publisher import Publisher
from edgeml.telemetry.spool import Spool, WindowSpan
from edgeml.telemetry.state_directory import SPOOL_FILE
from support.acking_fleet import AckingFleet, wait_for
from support.mosquitto import mosquitto
from support.relay import Relay
from support.tls_broker import tls_broker
from support.write_faults import build, environment

WINDOWS_OF_DAY = 288
MIDNIGHT = 20_000 * DAY_S
FLASH_BYTES_MAX = 5_000_000
WIRE_BYTES_MAX = 500_000


@pytest.mark.needs_program("mosquitto")
@pytest.mark.needs_program("cc")
def test_a_day_stays_within_flash_and_wire(tmp_path: Path) -> None:
    (tmp_path / "broker").mkdir()
    with (
        tls_broker(tmp_path / "broker", "collector", "gate-7") as broker,
        closing(AckingFleet(broker.port, tls=broker.tls("collector"))) as fleet,
        closing(Relay(broker.port)) as relay,
    ):
        command = [sys.executable, "-m", "support.device_day", str(tmp_path / "state"), str(broker.folder)]
        command += [str(relay.port), str(WINDOWS_OF_DAY)]
        done = subprocess.run(
            command, env=environment(build(tmp_path)), capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == 0, done.stderr[-4000:]
        assert len({seq for _, seq in fleet.windows}) >= WINDOWS_OF_DAY
        assert fleet.deliveries == len(fleet.windows), "no window went twice"
        assert relay.connections <= 2, "one connection for the day (two: a broker may refuse MQTT 5)"
        wire = relay.bytes_up + relay.bytes_down
    written = json.loads(done.stdout)
    print(f"a day: {written}, wire up {relay.bytes_up}, down {relay.bytes_down}")
    assert 288 * 400 < wire <= WIRE_BYTES_MAX
    assert 288 * 400 < written["bytes"] <= FLASH_BYTES_MAX


DAYS_OFFLINE = 30
QUOTA_BYTES = 8 << 20


@pytest.fixture
def fast_folder(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where there is one: a month has 17,000 fsyncs, and this test is not about them."""
    memory = Path("/dev/shm")  # noqa: S108
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else tmp_path) as folder:
        yield Path(folder)


def wide_schema() -> TelemetrySchema:
    """1,260 slots: a month of them is twice the quota."""
    edges = tuple(float(edge) for edge in range(33))
    features = [
        Feature(name=f"x{i}", source="input", tensor="x", kind="value", edges=edges, reference=(0,) * 35)
        for i in range(36)
    ]
    return TelemetrySchema(samples=0, features=tuple(features))


@pytest.mark.needs_program("mosquitto")
def test_a_month_offline_in_8_mb_loses_no_count(tmp_path: Path, fast_folder: Path) -> None:
    """Every released count of 30 days arrives, in coarser windows; the file keeps within its quota all the time."""
    budget = PrivacyBudget(epsilon="288", per_release="1")
    schema = wide_schema()
    rng = np.random.default_rng(11)
    total = np.zeros(schema.slot_count, dtype=np.int64)
    windows = DAYS_OFFLINE * WINDOWS_OF_DAY
    largest = 0
    with closing(Spool(fast_folder, budget=budget, now=MIDNIGHT, bytes_max=QUOTA_BYTES)) as spool:
        observer = Observer(schema)
        for number in range(windows):
            now = MIDNIGHT + 300 * number
            observer.observe({"x": rng.uniform(-1, 34, (1, 36)).astype(np.float32)}, {}, 1.0)
            reservation = spool.ledger.reserve(now)
            released = release(observer.take(), reservation=reservation, sensitivity=36)
            total += released.counts
            span = WindowSpan(model_id=b"modelid8", schema_id=schema.id, start=now, end=now + 300)
            assert spool.store(released, reservation=reservation, span=span) == number + 1
            if number % 100 == 0:
                largest = max(largest, (fast_folder / SPOOL_FILE).stat().st_size)
        assert not spool.is_full()
        assert largest < QUOTA_BYTES + (256 << 10), "the quota, and what is written before room is made"
        with mosquitto(tmp_path) as broker, closing(AckingFleet(broker.port)) as fleet:
            address = BrokerAddress(host="127.0.0.1", port=broker.port)
            to = Destination(broker=address, tenant="acme", device="d1", key=DeviceKey(bytes(32)))
            birth = Birth(
                epoch=spool.epoch,
                edgeml_version="0",
                isa="ref",
                model_id=b"modelid8",
                schema_id=schema.id,
                model_name="wide",
                time=0,
                ledger_head=spool.ledger.head(),
            )
            publisher = Publisher(spool, birth, to=to, clock=lambda: now)
            publisher.start()
            wait_for(lambda: spool.spool_from() == windows + 1, "the acks of a month", 120)
            publisher.stop(10)
            arrived = list(fleet.windows.values())
            events = fleet.messages("evt")
    assert len(arrived) < windows, "the quota is smaller than a month"
    assert sum(window.merged for window in arrived) == windows
    assert np.array_equal(sum(window.counts for window in arrived), total)
    assert {event.kind for event in events if isinstance(event, Event)} == {"coarsened"}
