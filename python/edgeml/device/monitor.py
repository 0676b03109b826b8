# SPDX-License-Identifier: Apache-2.0
"""`Monitor`: runs a session, counts what it sees, and reports windows of counts privately.

    inference thread      run -> Observer counts                      (a lock for some microseconds, nothing else)
    edgeml-windows        every window_s: reserve budget -> take counts -> noise -> spool
    edgeml-publisher      spool -> MQTT -> ack -> delete

Where the budget of the day is spent, the spool is full or the disk fails, the counts stay in the window that is being
counted and go out with a later one.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from edgeml import __version__
from edgeml.device.status import Running
from edgeml.errors import DeviceError, EdgemlError, InputError, UsageError
from edgeml.observe import Observer, TelemetrySchema
from edgeml.privacy import PrivacyBudget, release
from edgeml.privacy.budget import MICRO
from edgeml.privacy.ledger import DAY_S
from edgeml.telemetry.broker_address import BrokerAddress, TlsFiles
from edgeml.telemetry.device_key import DeviceKey
from edgeml.telemetry.messages import Birth
from edgeml.telemetry.mqtt import Destination
from edgeml.telemetry.publisher import Publisher, PublisherOptions
from edgeml.telemetry.spool import Spool, WindowSpan
from edgeml.telemetry.state_directory import KEY_FILE
from edgeml.telemetry.topics import check_names

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from numpy.typing import NDArray
    from typing_extensions import Self

    from edgeml.session import InferenceSession, TensorSpec

WINDOW_S_DEFAULT: Final = 300.0
SUPERVISE_S: Final = 30.0  # how often the sending thread is looked after
FLUSH_TIMEOUT_S: Final = 5.0
IN_FLIGHT_S: Final = 0.1  # longer than an inference and its counting take

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class MonitorStatus:
    """Where a device stands: windows made and waiting for the fleet's ack, and the day's epsilon."""

    windows_produced: int
    windows_waiting: int
    epsilon_spent: float
    epsilon_budget: float
    is_connected: bool


class _Running:
    """A session, and what of it is counted."""

    def __init__(self, session: InferenceSession) -> None:
        """Raises UsageError where the artifact has no telemetry schema, ArtifactError where its file is gone."""
        schema_bytes = session.telemetry_bytes
        if not schema_bytes:
            raise UsageError("monitor: the artifact has no telemetry schema; convert the model again, with calibration")
        self.session = session
        self.schema = TelemetrySchema.from_bytes(schema_bytes)
        self.model_id = session.model_id
        self.outputs = list(session.get_outputs())
        self.counted_inputs = self._counted("input", session.get_inputs())
        self.counted_outputs = self._counted("output", self.outputs)
        self.observer = Observer(self.schema)

    def _counted(self, source: str, specs: Sequence[TensorSpec]) -> list[TensorSpec]:
        tensors = {feature.tensor for feature in self.schema.features if feature.source == source}
        return [spec for spec in specs if spec.name in tensors]


class Monitor:
    """Counts the inferences of a session and reports them; a context manager.

        with edgeml.Monitor(session, state="state", device="d1") as monitor:
            outputs = monitor.run(None, {"input": x})

    Several threads may call `run` and `observe`.
    """

    def __init__(  # noqa: PLR0913 - the options of a device, all by name
        self,
        session: InferenceSession,
        *,
        state: str | os.PathLike[str],
        device: str,
        tenant: str = "default",
        broker: str = "mqtt://127.0.0.1:1883",
        key: str | os.PathLike[str] | None = None,
        tls: TlsFiles | None = None,
        budget: PrivacyBudget | None = None,
        window_s: float = WINDOW_S_DEFAULT,
        clock: Callable[[], float] = time.time,
        publisher: PublisherOptions | None = None,
        on_want: Callable[[bytes], None] | None = None,
    ) -> None:
        """Open the state directory and start to report.

        Args:
            session: what runs; its artifact must carry a telemetry schema.
            state: directory of spool and ledger, one a device; made if it is missing.
            device: name at the fleet, 1 to 64 of `a-z A-Z 0-9 . _ -`.
            tenant: the fleet's name for whose device it is, of the same characters.
            broker: `mqtt://host[:port]`, or `mqtts://` for TLS; it need not be there.
            tls: certificates of a `mqtts://` broker.
            key: file of the device's private key; default: device.key in `state`, made if it is missing. The fleet must
                know its public half (`edgeml fleet provision`), or it takes no window.
            budget: what a day and a release may cost; default: 1 a release, 300 a day (288 windows of 5 minutes, and restarts).
            window_s: seconds of a window, at least 0.1.
            clock: unix seconds; for tests.
            publisher: when to send again and when to call again.
            on_want: called with what the fleet wants of the device (wire.md, section 7), in the publisher's thread.

        Raises:
            UsageError: an option that cannot be, or an artifact without telemetry schema.
            DeviceError: the state directory cannot be written, another process has it, or the key cannot be read.
        """
        if not 0.1 <= window_s <= DAY_S:
            raise UsageError(f"monitor: window_s {window_s} must be 0.1 to {DAY_S}")
        self._running = _Running(session)  # may fail, so it comes before anything that would have to be closed again
        address = BrokerAddress.from_url(broker, tls)
        if address.tls is not None:
            address.tls.context()  # files that cannot be read are found here
        check_names(tenant, device)
        self._budget = budget or PrivacyBudget()
        self._window_s = window_s
        self._clock = clock
        self._counting = threading.Lock()  # the observer
        self._releasing = threading.Lock()  # one release at a time
        self._window_start = clock()
        self._told_day: dict[str, int] = {}  # event -> day that it was told of
        self._observe_failed = False
        self._holds_counts = False  # something was counted since the last release
        self._closing = threading.Event()
        self._final_status: MonitorStatus | None = None
        state = Path(state)
        self._spool = Spool(state, budget=self._budget, now=clock())
        try:
            device_key = DeviceKey.load(Path(key)) if key else DeviceKey.load_or_create(state / KEY_FILE)
            to = Destination(broker=address, tenant=tenant, device=device, key=device_key)
        except BaseException:
            self._spool.close()
            raise
        self.on_inference: Callable[[Mapping[str, NDArray[Any]], Mapping[str, NDArray[Any]], float], None] | None = None
        self._publisher = Publisher(self._spool, self._birth(), to=to, clock=clock, options=publisher, on_want=on_want)
        self._address = str(address)
        self._names = (tenant, device)
        self._state = state
        self._tell_person(is_connected=False)
        self._publisher.on_connection = lambda is_connected: self._tell_person(is_connected=is_connected)
        self._log_budget()
        self._publisher.start()
        self._windows = threading.Thread(target=self._roll, name="edgeml-windows", daemon=True)
        self._windows.start()

    def run(self, output_names: Sequence[str] | None, input_feed: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        """Run the session as `InferenceSession.run` does, and count the inference.

        Raises:
            InputError: what the session raises; such a call is not counted.
            DeviceError: the monitor is closed.
        """
        self._check_open()
        running = self._running  # another thread may put a new session in its place
        begin = time.perf_counter_ns()
        outputs = running.session.run(None, input_feed)
        latency_us = (time.perf_counter_ns() - begin) * 1e-3
        named = {spec.name: array for spec, array in zip(running.outputs, outputs, strict=True)}
        if self.on_inference is not None:
            self.on_inference(input_feed, named, latency_us)
        try:
            self._observe(running, input_feed, named, latency_us)
        except EdgemlError as error:  # counting never costs an answer
            if not self._observe_failed:
                self._observe_failed = True
                _log.warning("inferences cannot be counted: %s", error)
        if output_names is None:
            return outputs
        return [named[name] if name in named else self._unknown_output(name) for name in output_names]

    @property
    def model_id(self) -> bytes:
        """Id of the model that runs."""
        return self._running.model_id

    def get_inputs(self) -> list[TensorSpec]:
        """The graph inputs of the model that runs."""
        return self._running.session.get_inputs()

    def replace_session(self, session: InferenceSession) -> float:
        """Run another model from now on: no inference waits, and what was counted of the old one is released.

        Gives the time.perf_counter() from which on the new one answers; the release comes after it.

        Raises:
            UsageError: its artifact has no telemetry schema; the old one goes on.
            DeviceError: the monitor is closed.
        """
        running = _Running(session)
        with self._releasing:
            self._check_open()
            old, self._running = self._running, running
            answers_from = time.perf_counter()
            time.sleep(IN_FLIGHT_S)  # inferences that had begun with the old one are counted with it
            now = self._clock()
            try:
                ahead = self._spool.is_full() or not self._spool.ledger.can_reserve(now)
                self._release(now, ahead=ahead, running=old)
            except (DeviceError, sqlite3.Error) as error:
                _log.warning("the last window of the old model is lost: %s", error)
                self._tell_dropped()
        self._publisher.announce(self._birth())
        self._tell_person(is_connected=self._publisher.is_connected)
        return answers_from

    def tell(self, kind: str, detail: str) -> None:
        """Tell the fleet of an event."""
        self._spool.add_event(kind, self._clock(), detail)
        self._publisher.notify()

    def observe(
        self,
        input_feed: Mapping[str, NDArray[Any]],
        outputs: Mapping[str, NDArray[Any]] | Sequence[NDArray[Any]],
        latency_us: float,
    ) -> None:
        """Count an inference that was run elsewhere: its inputs, outputs (by name or in order) and microseconds.

        Raises:
            InputError: an array is missing, or is not what the telemetry schema counts; nothing is counted.
            DeviceError: the monitor is closed.
        """
        self._check_open()
        running = self._running
        if not isinstance(outputs, Mapping):
            outputs = {spec.name: array for spec, array in zip(running.outputs, outputs, strict=True)}
        self._observe(running, input_feed, outputs, latency_us)

    def release_window(self) -> bool:
        """End the window now, also an empty one: noise, spool, and a new window. `window_s` does it by itself.

        Gives False where that is not possible: the budget of the day is spent, the spool is full or the disk fails. The
        counts then stay in the window.

        Raises:
            DeviceError: the monitor is closed.
        """
        with self._releasing:
            self._check_open()
            now = self._clock()
            try:
                if self._spool.is_full():
                    self._tell("spool_full", now, "windows grow until the fleet acknowledges some")
                    return False
                ledger_day = self._spool.ledger.day_of(now)
                if ledger_day > int(now) // DAY_S:
                    self._tell("clock_went_back", now, f"the ledger stays in day {ledger_day}, in which it was before")
                if not self._spool.ledger.can_reserve(now):
                    spent = f"{self._spool.ledger.spent_micro(now) / MICRO:g} epsilon"
                    self._tell("budget_spent", now, f"{spent} spent; the window grows until tomorrow")
                    return False
                self._release(now)
            except (DeviceError, sqlite3.Error) as error:
                _log.warning("window not released, its counts are kept: %s", error)
                if (
                    type(error.__cause__ or error) is sqlite3.DatabaseError
                ):  # damage; a full disk is an OperationalError
                    self._recover(now)
                return False
            self._publisher.notify()
        return True

    def status(self) -> MonitorStatus:
        """Report windows and budget as of now."""
        if self._final_status is not None:
            return self._final_status
        produced = self._spool.produced()
        return MonitorStatus(
            windows_produced=produced,
            windows_waiting=produced + 1 - self._spool.spool_from(),
            epsilon_spent=self._spool.ledger.spent_micro(self._clock()) / MICRO,
            epsilon_budget=self._budget.day_micro / MICRO,
            is_connected=self._publisher.is_connected,
        )

    def close(self, flush_timeout_s: float = FLUSH_TIMEOUT_S) -> MonitorStatus:
        """Release the last window, wait up to `flush_timeout_s` for the fleet's acks, close the state directory.

        Gives where the device stands at its end; closing again changes nothing.
        """
        if self._final_status is None:
            self._closing.set()
            self._windows.join()
            if not self.release_window() and self._holds_counts:
                self._store_ahead()
            with self._releasing:
                self._publisher.stop(flush_timeout_s)
                self._final_status = self.status()
                self._spool.close()
        return self._final_status

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _birth(self) -> Birth:
        running = self._running
        return Birth(
            epoch=self._spool.epoch,
            edgeml_version=__version__,
            isa=running.session.isa,
            model_id=running.model_id,
            schema_id=running.schema.id,
            model_name=str(running.session.metadata.get("name", ""))[:256],
            time=0,
            ledger_head=self._spool.ledger.head(),
        )

    def _observe(
        self,
        running: _Running,
        input_feed: Mapping[str, NDArray[Any]],
        outputs: Mapping[str, NDArray[Any]],
        latency_us: float,
    ) -> None:
        inputs = _as_float32(input_feed, running.counted_inputs)
        results = _as_float32(outputs, running.counted_outputs)
        with self._counting:
            running.observer.observe(inputs, results, latency_us)
            self._holds_counts = True

    def _roll(self) -> None:
        due = time.monotonic() + self._window_s
        while not self._closing.wait(min(SUPERVISE_S, max(0.0, due - time.monotonic()))):
            self._publisher.start()  # again, if it has died or hangs
            if time.monotonic() < due:
                continue
            due += self._window_s
            try:
                self.release_window()
            except Exception:
                _log.exception("window not released, its counts are kept")

    def _store_ahead(self) -> None:
        """Keep the last window where today has no budget for it: a later day pays, and it is sent on that day."""
        try:
            with self._releasing:
                self._release(self._clock(), ahead=True)
        except (DeviceError, sqlite3.Error) as error:
            _log.warning("%s", error)
            self._tell_dropped()

    def _release(self, now: float, *, ahead: bool = False, running: _Running | None = None) -> None:
        running = running or self._running
        reservation = self._spool.ledger.reserve(now, ahead=ahead)
        with self._counting:
            raw = running.observer.take()
            held, self._holds_counts = self._holds_counts, False
        try:
            released = release(raw, reservation=reservation, sensitivity=len(running.schema.features))
            span = WindowSpan(
                model_id=running.model_id,
                schema_id=running.schema.id,
                start=max(0, min(self._window_start, now)),  # the clock may have gone back
                end=max(0, now),
            )
            self._spool.store(released, reservation=reservation, span=span)
        except BaseException:
            with self._counting:
                running.observer.put_back(raw)
                self._holds_counts |= held
            raise
        self._window_start = now

    def _recover(self, now: float) -> None:
        try:
            self._spool.recover(now)
        except (OSError, sqlite3.Error) as error:
            _log.warning("the damaged spool cannot be replaced now: %s", error)

    def _tell_person(self, *, is_connected: bool) -> None:
        """Leave model and connection where `edgeml device status` finds them."""
        running = self._running
        told = Running(
            device=self._names[1],
            tenant=self._names[0],
            broker=self._address,
            model_id=running.model_id.hex(),
            model_name=str(running.session.metadata.get("name", ""))[:256],
            isa=running.session.isa,
            edgeml_version=__version__,
            is_connected=is_connected,
            since=int(self._clock()),
        )
        try:
            told.write(self._state)
        except OSError as error:
            _log.debug("status not written: %s", error)

    def _tell(self, event: str, now: float, detail: str) -> None:
        """Tell the fleet, once a day."""
        day = self._spool.ledger.day_of(now)
        if self._told_day.get(event) == day:
            return
        self._told_day[event] = day
        _log.warning("%s: %s", event, detail)
        self._spool.add_event(event, now, detail)
        self._publisher.notify()

    def _check_open(self) -> None:
        if self._final_status is not None:
            raise DeviceError("the monitor is closed; make another one to count further inferences")

    def _tell_dropped(self) -> None:
        _log.warning("the counts since %d cannot be released and end with this process", self._window_start)
        try:
            self._spool.add_event("window_dropped", self._clock(), "closed before the window could be released")
        except sqlite3.Error as error:
            _log.warning("event not kept: %s", error)

    def _log_budget(self) -> None:
        releases = self._budget.day_micro // self._budget.release_micro
        if releases * self._window_s < DAY_S:
            _log.warning(
                "the budget covers %d windows of %g s a day; after them, windows grow until the next day (UTC)",
                releases,
                self._window_s,
            )

    def _unknown_output(self, name: str) -> NDArray[Any]:
        raise InputError(
            f"the model has no output {name!r}, only {', '.join(spec.name for spec in self._running.outputs)}"
        )


def _as_float32(arrays: Mapping[str, NDArray[Any]], specs: Sequence[TensorSpec]) -> dict[str, NDArray[np.float32]]:
    """Arrays of the model's tensors as the schema counts them: quantized ones (io="int8") become real numbers."""
    result: dict[str, NDArray[np.float32]] = {}
    for spec in specs:
        array = arrays.get(spec.name)
        if array is None:
            continue
        if isinstance(array, np.ndarray) and array.dtype == np.int8 and spec.scale:
            array = (array.astype(np.int32) - spec.zero_point).astype(np.float32) * np.float32(spec.scale)
        result[spec.name] = array
    return result
