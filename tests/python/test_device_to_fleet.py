# SPDX-License-Identifier: Apache-2.0
"""Devices, a real broker and the real fleet: every window that was made is stored once, and the books close."""

from __future__ import annotations

import shutil
import threading
import time
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import numpy as np
import pytest
import sqlalchemy as sa

from edgeml import InferenceSession
from edgeml.device.monitor import Monitor, MonitorStatus
from edgeml.fleet.books import books
from edgeml.fleet.broker import EmbeddedBroker
from edgeml.fleet.collector import Collector
from edgeml.fleet.registry import push_model
from edgeml.fleet.store import tables as t
from edgeml.fleet.store.device_keys import add_keys
from edgeml.fleet.store.engine import open_store, reading, writing
from edgeml.privacy import PrivacyBudget
from edgeml.telemetry.broker_address import BrokerAddress
from edgeml.telemetry.device_key import DeviceKey
from edgeml.telemetry.publisher import PublisherOptions
from edgeml.telemetry.state_directory import KEY_FILE
from support.monitored_artifact import INPUT, monitored_artifact
from support.mosquitto import Mosquitto, mosquitto
from support.small_artifact import INPUT_SHAPE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


FAST = PublisherOptions(ack_timeout_s=1.0, backoff_min_s=0.05, backoff_max_s=0.3)
BUDGET = PrivacyBudget(epsilon="1000", per_release="1")
WINDOWS = 12


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[sa.Engine]:
    engine = open_store(f"sqlite:///{tmp_path / 'fleet.db'}")
    with writing(engine) as connection:
        push_model(connection, monitored_artifact(), now_s=int(time.time()))
    yield engine
    engine.dispose()


@contextmanager
def collecting(engine: sa.Engine, broker: BrokerAddress, *, mqtt_5: bool = True) -> Iterator[None]:
    stop = threading.Event()
    collector = Collector(engine, broker, period_s=3600, mqtt_5=mqtt_5)
    thread = threading.Thread(target=collector.run, args=(stop,))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def report_windows(
    engine: sa.Engine, folder: Path, broker: BrokerAddress, name: str, windows: int = WINDOWS
) -> MonitorStatus:
    """One life of a device that makes so many windows."""
    session = InferenceSession(monitored_artifact().to_bytes())
    x = np.random.default_rng(1).normal(scale=0.3, size=(1, *INPUT_SHAPE)).astype(np.float32)
    key = DeviceKey.load_or_create(folder / name / KEY_FILE)
    with writing(engine) as connection:
        add_keys(connection, {("acme", name): key.public}, now_s=0)
    monitor = Monitor(
        session,
        state=folder / name,
        device=name,
        tenant="acme",
        broker=f"mqtt://{broker}",
        budget=BUDGET,
        window_s=3600,
        publisher=FAST,
    )
    with closing(monitor):
        for _ in range(windows - 1):  # close() makes the last
            for _ in range(5):
                monitor.run(None, {INPUT: x})
            monitor.release_window()
        return monitor.close(flush_timeout_s=60)


def assert_closed_books(engine: sa.Engine, devices: int) -> None:
    with reading(engine) as connection:
        found = books(connection)
    assert [(book.produced, book.stored, book.waiting, book.unaccounted) for book in found] == [
        (WINDOWS, WINDOWS, 0, 0)
    ] * devices


@pytest.mark.parametrize("kind", ["mosquitto", "embedded"])
def test_books_close(tmp_path: Path, engine: sa.Engine, kind: str) -> None:
    with contextmanager(_broker)(kind, tmp_path) as broker, collecting(engine, broker, mqtt_5=kind == "mosquitto"):
        statuses = [report_windows(engine, tmp_path, broker, name) for name in ("d1", "d2", "d3")]
    assert [(status.windows_produced, status.windows_waiting) for status in statuses] == [(WINDOWS, 0)] * 3
    assert_closed_books(engine, 3)


def test_books_close_over_a_broker_and_a_collector_that_die(tmp_path: Path, engine: sa.Engine) -> None:
    with mosquitto(tmp_path) as running:
        broker = BrokerAddress(host="127.0.0.1", port=running.port)
        results: list[MonitorStatus] = []
        device = threading.Thread(
            target=lambda: results.append(report_windows(engine, tmp_path, broker, "d1", WINDOWS - 1))
        )
        device.start()
        trouble(running, engine, broker)
        with collecting(engine, broker):
            device.join()
            results.append(report_windows(engine, tmp_path, broker, "d1", 1))  # sends what the first life may have left
    assert [status.windows_produced for status in results] == [WINDOWS - 1, WINDOWS]
    assert results[1].windows_waiting == 0
    assert_closed_books(engine, 1)


def trouble(running: Mosquitto, engine: sa.Engine, broker: BrokerAddress) -> None:
    for _ in range(2):
        with collecting(engine, broker):
            time.sleep(0.2)
            running.kill()
            time.sleep(0.1)
            running.start()
            time.sleep(0.2)


def _broker(kind: str, folder: Path) -> Iterator[BrokerAddress]:
    if kind == "mosquitto":
        with mosquitto(folder) as running:
            yield BrokerAddress(host="127.0.0.1", port=running.port)
    else:
        embedded = EmbeddedBroker("127.0.0.1", 0)
        yield embedded.address
        embedded.stop()


def test_a_restored_card_spends_nothing_twice(tmp_path: Path, engine: sa.Engine) -> None:
    """An image of the card is put back after three more windows were reported: new epoch, the day burnt, books closed."""
    with mosquitto(tmp_path) as running:
        broker = BrokerAddress(host="127.0.0.1", port=running.port)
        with collecting(engine, broker):
            report_windows(engine, tmp_path, broker, "d1", 3)
            shutil.copytree(tmp_path / "d1", tmp_path / "image")
            report_windows(engine, tmp_path, broker, "d1", 3)
            shutil.rmtree(tmp_path / "d1")
            (tmp_path / "image").rename(tmp_path / "d1")
            status = report_windows(engine, tmp_path, broker, "d1", 1)
    assert 0 <= status.epsilon_spent - status.epsilon_budget < 1e-5, "the budget of the day counts as spent"
    with reading(engine) as connection:
        (book,) = books(connection)
        epochs = connection.execute(sa.select(t.epoch.c.produced, t.epoch.c.stored)).all()
        kinds = connection.execute(sa.select(t.event.c.kind)).scalars().all()
        windows = connection.execute(sa.select(t.window.c.seq)).scalars().all()
    assert book.unaccounted == 0
    assert epochs[0] == (6, 6)
    assert sorted(windows) == [1, 2, 3, 4, 5, 6], "no window of the copy is in the store"
    assert "ledger_forked" in kinds


def test_two_devices_with_one_card_are_told_apart(tmp_path: Path, engine: sa.Engine) -> None:
    """A cloned card: both devices go on, one after the other, under one name and one key."""
    with mosquitto(tmp_path) as running:
        broker = BrokerAddress(host="127.0.0.1", port=running.port)
        with collecting(engine, broker):
            report_windows(engine, tmp_path, broker, "d1", 2)
            shutil.copytree(tmp_path / "d1", tmp_path / "clone" / "d1")
            for _ in range(2):
                report_windows(engine, tmp_path, broker, "d1", 2)
                report_windows(engine, tmp_path / "clone", broker, "d1", 1)
    with reading(engine) as connection:
        (book,) = books(connection)
        epochs = connection.execute(sa.select(t.epoch.c.epoch, t.epoch.c.produced, t.epoch.c.stored)).all()
        details = (
            connection.execute(sa.select(t.event.c.detail).where(t.event.c.kind == "ledger_forked")).scalars().all()
        )
    assert book.unaccounted == 0
    assert epochs[0][1:] == (6, 6)
    assert len(details) == 1
    assert epochs[0].epoch.hex() in details[0]
