# SPDX-License-Identifier: Apache-2.0
"""The monitor: every inference is counted once, released once, and nothing raw leaves; with budget, disk and broker gone."""

from __future__ import annotations

import logging
import threading
from contextlib import closing
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgeml import _core
from edgeml.device.monitor import Monitor
from edgeml.device.status import read_status
from edgeml.errors import DeviceError, InputError, UsageError
from edgeml.privacy import PrivacyBudget
from edgeml.privacy.ledger import DAY_S, read_days
from edgeml.telemetry.messages import Event, Window
from edgeml.telemetry.publisher import PublisherOptions
from edgeml.telemetry.spool import Spool
from edgeml.telemetry.state_directory import SPOOL_FILE
from support.acking_fleet import AckingFleet, wait_for
from support.mosquitto import Mosquitto, free_port, mosquitto
from support.numpy_session import NumpySession, NumpySpec, two_class_schema

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

NOON = 20_000.5 * DAY_S
FAST = PublisherOptions(ack_timeout_s=0.5, backoff_min_s=0.05, backoff_max_s=0.2)
# Noise of scale 3 / 900: a count differs from the truth once in exp(300) slots.
NO_NOISE = PrivacyBudget(epsilon="1000", per_release="900")
QUIET = PrivacyBudget(epsilon="1000", per_release="50")  # scale 0.06: off by one about once in 10^7 slots


class Clock:
    def __init__(self, now: float = NOON) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def monitor_of(folder: Path, **options: Any) -> Monitor:
    """A monitor whose windows end by hand, and whose broker is not there unless a port is given."""
    port = options.pop("port", None) or free_port()
    defaults = {"device": "d1", "window_s": 3600, "budget": QUIET, "clock": Clock(), "publisher": FAST}
    session = options.pop("session", None) or NumpySession()
    return Monitor(session, state=folder, broker=f"mqtt://127.0.0.1:{port}", **{**defaults, **options})


def spooled(folder: Path) -> Sequence[Window]:
    with closing(Spool(folder, budget=QUIET, now=NOON)) as spool:
        return spool.windows(0)


def x_of(*values: float) -> dict[str, np.ndarray]:
    return {"x": np.array(values, dtype=np.float32)[:, None]}


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with mosquitto(tmp_path) as running:
        yield running


def test_counts_what_it_ran(tmp_path: Path) -> None:
    with monitor_of(tmp_path) as monitor:
        outputs = monitor.run(None, x_of(0.1, 0.2, 0.9))
        assert outputs[0].shape == (3, 2)
        assert monitor.run(["y"], x_of(np.nan))[0].shape == (1, 2)
        assert monitor.release_window()
        monitor.observe(x_of(-1.0), [np.array([[0.25, 0.75]], dtype=np.float32)], 3.0)
        assert monitor.status().windows_produced == 1
    first, second = spooled(tmp_path)
    assert first.counts[:5].tolist() == [1, 0, 2, 1, 0]
    assert first.counts[5:10].tolist() == [1, 0, 0, 3, 0]
    assert first.counts[10:].sum() == 4
    assert second.counts.tolist() == [0, 1, 0, 0, 0] + [0, 0, 0, 1, 0] + [0, 0, 0, 1] + [0] * 23
    assert (first.model_id, first.schema_id) == (b"numpymod", two_class_schema().id)
    assert (first.start, first.end, first.noise_scale) == (NOON, NOON, Fraction(3, 50))


def test_another_model_is_told_to_the_person_at_the_device(tmp_path: Path) -> None:
    with monitor_of(tmp_path) as monitor:
        other = NumpySession()
        other.isa = "another"
        monitor.replace_session(other)  # type: ignore[arg-type]
        running = read_status(tmp_path, NOON).running
        assert running is not None
        assert running.isa == "another"


def test_an_answer_is_never_lost_to_counting(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    session = NumpySession()

    def with_another_dtype(_names: object, feed: dict[str, np.ndarray]) -> list[np.ndarray]:
        return [np.zeros((len(feed["x"]), 2), dtype=np.float64)]

    session.run = with_another_dtype  # type: ignore[method-assign,assignment]
    with monitor_of(tmp_path, session=session) as monitor:
        for _ in range(3):
            assert monitor.run(None, x_of(0.5))[0].dtype == np.float64
        with pytest.raises(InputError, match="float32"):
            monitor.observe(x_of(0.5), {"y": np.zeros((1, 2))}, 1.0)
        with pytest.raises(InputError):
            monitor.run(["z"], x_of(0.5))
    assert caplog.text.count("cannot be counted") == 1


def test_quantized_tensors_count_as_real_numbers(tmp_path: Path) -> None:
    session = NumpySession(input_spec=NumpySpec("x", scale=0.25, zero_point=-2))
    with monitor_of(tmp_path, session=session) as monitor:
        quantized = np.array([[-2], [0], [1], [2], [3]], dtype=np.int8)  # 0, 0.5, 0.75, 1, 1.25
        monitor.observe({"x": quantized}, [np.full((5, 2), 0.5, dtype=np.float32)], 1.0)
    assert spooled(tmp_path)[0].counts[:5].tolist() == [0, 0, 1, 3, 1]


def test_a_spent_budget_keeps_the_counts_for_tomorrow(tmp_path: Path) -> None:
    clock = Clock()
    budget = PrivacyBudget(epsilon="100", per_release="50")
    with monitor_of(tmp_path, budget=budget, clock=clock) as monitor:
        for _ in range(2):
            monitor.run(None, x_of(0.1))
            assert monitor.release_window()
        for _ in range(3):
            monitor.run(None, x_of(0.1, 0.9))
            assert not monitor.release_window()
        clock.now -= 2 * DAY_S
        assert not monitor.release_window(), "a clock that goes back must not refill the budget"
        clock.now += 3 * DAY_S
        assert monitor.release_window()
        assert monitor.status().epsilon_spent == 50
    windows = spooled(tmp_path)
    assert [int(window.counts[:5].sum()) for window in windows] == [1, 1, 6, 0]
    assert (windows[2].start, windows[2].end) == (NOON, NOON + DAY_S)
    with closing(Spool(tmp_path, budget=budget, now=NOON)) as spool:
        assert [event.kind for _, event in spool.events()] == ["budget_spent", "clock_went_back"]
    assert [day.spent_micro for day in read_days(tmp_path / SPOOL_FILE)] == [100_000_000, 100_000_000]


def test_closing_with_the_budget_spent_keeps_the_last_window_for_tomorrow(tmp_path: Path) -> None:
    with monitor_of(tmp_path, budget=NO_NOISE) as monitor:
        assert monitor.release_window()
        monitor.run(None, x_of(0.1))
    with closing(Spool(tmp_path, budget=NO_NOISE, now=NOON)) as spool:
        assert [event.kind for _, event in spool.events()] == ["budget_spent"]
        assert spool.windows(0)[1].counts[:5].tolist() == [0, 0, 1, 0, 0]
        report = spool.report(0, NOON)
        assert report is not None
        assert [window.seq for window in report.windows] == [1], "today has no budget for the second"
    assert [day.spent_micro for day in read_days(tmp_path / SPOOL_FILE)] == [900_000_000] * 2


def test_a_restart_cannot_spend_twice(tmp_path: Path) -> None:
    for _ in range(3):
        with monitor_of(tmp_path, budget=NO_NOISE) as monitor:
            monitor.release_window()
    assert len(spooled(tmp_path)) == 1
    assert [day.spent_micro for day in read_days(tmp_path / SPOOL_FILE)] == [900_000_000]


def test_a_disk_that_fails_loses_no_count_and_no_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monitor_of(tmp_path) as monitor:
        monitor.run(None, x_of(0.1, 0.9))

        def fail(*_: object, **__: object) -> int:
            raise DeviceError("spool: database or disk is full")

        with monkeypatch.context() as patch:
            patch.setattr(Spool, "store", fail)
            assert not monitor.release_window()
        monitor.run(None, x_of(0.1))
        assert monitor.release_window()
    assert spooled(tmp_path)[0].counts[:5].tolist() == [0, 0, 2, 1, 0]
    days = read_days(tmp_path / SPOOL_FILE)
    assert [(day.releases, day.burnt) for day in days] == [(3, 1)]  # one burnt, one window, one at the end


def test_a_full_spool_keeps_counting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monitor_of(tmp_path) as monitor:
        with monkeypatch.context() as patch:
            patch.setattr(Spool, "is_full", lambda _: True)
            monitor.run(None, x_of(0.1))
            assert not monitor.release_window()
            assert not monitor.release_window()
        monitor.run(None, x_of(0.1))
    assert spooled(tmp_path)[0].counts[:5].tolist() == [0, 0, 2, 0, 0]
    with closing(Spool(tmp_path, budget=QUIET, now=NOON)) as spool:
        assert [event.kind for _, event in spool.events()] == ["spool_full"]


def test_windows_end_by_themselves(tmp_path: Path) -> None:
    with monitor_of(tmp_path, window_s=0.1, budget=PrivacyBudget(epsilon="1000", per_release="0.001")) as monitor:
        wait_for(lambda: monitor.status().windows_produced >= 3, "three windows")


def test_threads_count_every_inference_once(tmp_path: Path) -> None:
    budget = PrivacyBudget(epsilon="1000", per_release="20")
    with monitor_of(tmp_path, budget=budget) as monitor:

        def work() -> None:
            for _ in range(500):
                monitor.run(None, x_of(0.1, 0.9))

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for _ in range(20):
            monitor.release_window()
        for thread in threads:
            thread.join()
    total = sum(int(window.counts[:5].sum()) for window in spooled(tmp_path))
    assert abs(total - 4000) <= 8  # noise of scale 0.15: a slot is off by one about once in 400


def test_reports_reach_a_fleet_and_are_deleted_on_its_ack(tmp_path: Path, broker: Mosquitto) -> None:
    with closing(AckingFleet(broker.port)) as fleet:
        with monitor_of(tmp_path / "state", port=broker.port, budget=NO_NOISE) as monitor:
            monitor.run(None, x_of(0.1))
            monitor.release_window()
            monitor.run(None, x_of(0.1))
            monitor.release_window()
            wait_for(lambda: monitor.status().windows_waiting == 0, "ack")
            assert monitor.status().is_connected
        assert [window.counts[:5].tolist() for window in fleet.windows.values()] == [[0, 0, 1, 0, 0]]
        wait_for(lambda: len(fleet.messages("evt")) >= 1, "event")
        kinds = [event.kind for event in fleet.messages("evt") if isinstance(event, Event)]
        assert kinds[0] == "budget_spent"
    (held,) = spooled(
        tmp_path / "state"
    )  # counted after the budget of the day was spent: tomorrow pays, tomorrow it goes
    assert held.counts[:5].tolist() == [0, 0, 1, 0, 0]


def test_nothing_raw_leaves(tmp_path: Path, broker: Mosquitto, caplog: pytest.LogCaptureFixture) -> None:
    """A canary in every input and output, searched for in each byte of wire, state directory and log."""
    canary = np.float32(0.6180339)
    count = 7919  # samples in one bin, exactly
    with caplog.at_level(logging.DEBUG), closing(AckingFleet(broker.port)) as fleet:
        budget = PrivacyBudget(epsilon="8", per_release="1")
        with monitor_of(tmp_path / "state", port=broker.port, budget=budget) as monitor:
            feed = {"x": np.full((count, 1), canary, dtype=np.float32)}
            outputs = monitor.run(None, feed)[0]
            with pytest.raises(InputError) as error:
                monitor.observe(feed, [outputs.astype(np.float64)], 77.0)
            assert monitor.release_window()
            wait_for(lambda: fleet.windows, "the window")
            exact = _observed_exactly(feed, outputs)
            held = [path.read_bytes() for path in (tmp_path / "state").iterdir()]
            wait_for(lambda: monitor.status().windows_waiting == 0, "the ack")
            held += [path.read_bytes() for path in (tmp_path / "state").iterdir()]
        held += [payload for _, payload in fleet.payloads]
        held += [caplog.text.encode(), str(error.value).encode(), repr(monitor).encode()]
        released = next(iter(fleet.windows.values()))
    confidence = np.float32(outputs.max())
    needles = [packed for value in (canary, confidence) for packed in _spellings(value)]
    assert sum(len(part) for part in held) > 10_000
    for needle in needles:
        assert not any(needle in part for part in held), needle
    noise = released.counts - exact
    assert np.count_nonzero(noise) > len(noise) // 3  # scale 3: a slot stays exact once in six
    assert not any(exact.tobytes() in part for part in held)
    assert any(released.packed_counts in part for part in held), "the search finds what is there"


def _observed_exactly(feed: dict[str, np.ndarray], outputs: np.ndarray) -> np.ndarray:
    from edgeml.observe import Observer  # what the device never does

    observer = Observer(two_class_schema())
    observer.observe(feed, {"y": outputs}, 100.0)
    return _core.reference_counts(observer.take())


def _spellings(value: np.float32) -> list[bytes]:
    wide = np.float64(value)
    return [
        value.tobytes(),
        value.byteswap().tobytes(),
        wide.tobytes(),
        wide.byteswap().tobytes(),
        np.float16(value).tobytes() * 2,
        f"{value:.6f}".encode(),
        f"{value:.4f}".encode(),
    ]


@pytest.mark.parametrize(
    "options",
    [
        {"window_s": 0},
        {"window_s": float("nan")},
        {"device": "a/b"},
        {"tenant": ""},
    ],
)
def test_refuses_options_and_leaves_nothing(tmp_path: Path, options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        monitor_of(tmp_path / "state", **options)
    assert not (tmp_path / "state").exists()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("edgeml-")]


def test_refuses_a_model_without_a_schema(tmp_path: Path) -> None:
    session = NumpySession()
    session.telemetry_bytes = None
    with pytest.raises(UsageError, match="no telemetry schema"):
        monitor_of(tmp_path, session=session)


def test_two_monitors_cannot_share_a_state_directory(tmp_path: Path) -> None:
    with monitor_of(tmp_path), pytest.raises(DeviceError, match="in use"):
        monitor_of(tmp_path)


def test_closing_twice_is_closing(tmp_path: Path) -> None:
    monitor = monitor_of(tmp_path)
    status = monitor.close()
    assert monitor.close() == status == monitor.status()
    for use in (
        monitor.release_window,
        lambda: monitor.run(None, x_of(0.5)),
        lambda: monitor.observe(x_of(0.5), {}, 1.0),
    ):
        with pytest.raises(DeviceError, match="closed"):
            use()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("edgeml-")]
