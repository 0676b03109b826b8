# SPDX-License-Identifier: Apache-2.0
"""The updater of a device: takes what the fleet wants, tries it step by step, and goes back by itself.

    want -> fetch (TUF) -> slot -> interface, golden vectors -> shadow -> activate -> probation -> confirmed
                                                                            `-> back to the other slot, without a network

One thread does it all; the inference thread only hands over what it saw. What goes wrong is told to the fleet in words that
hold nothing of the data.
"""

from __future__ import annotations

import contextlib
import json
import logging
import queue
import statistics
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, NoReturn, Protocol

import numpy as np

from edgeml.device.update.repository import FetchedModel, UpdateRefusedError, UpdateUnreachableError
from edgeml.device.update.slots import Slot, Slots
from edgeml.device.update.trial import LATENCIES_KEPT, Probation, Shadow
from edgeml.errors import EdgemlError, WireError
from edgeml.golden_vectors import check_golden_vectors
from edgeml.session import InferenceSession
from edgeml.telemetry.want import Want, decode_want

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    Arrays = Mapping[str, NDArray[Any]]

RETRY_S: Final = (1.0, 5.0, 30.0, 300.0)  # between tries while the repository does not answer
POLL_S: Final = 0.1
PROBATION_INFERENCES: Final = 500  # this and the next two: after a restart on trial, when the want is not at hand
PROBATION_S: Final = 60
ERROR_PPM: Final = 10_000

_log = logging.getLogger(__name__)


class ModelHost(Protocol):
    """What runs the model: a Monitor."""

    def replace_session(self, session: InferenceSession) -> float:
        """Run another session from now on; the time.perf_counter() of its first answer."""

    def tell(self, kind: str, detail: str) -> None:
        """Tell the fleet of an event."""


class ModelSource(Protocol):
    """Where models come from: a Repository."""

    def fetch(self, digest: str) -> FetchedModel:
        """Fetch the model of this SHA-256."""


class _LeaveError(Exception):
    """The rollout ends here; the word is for the fleet."""


class _SupersededError(Exception):
    """A newer want has come, or the end."""


class Updater:
    """`want` takes payloads from any thread, `saw` what the model did; `start` begins, `stop` ends."""

    def __init__(  # noqa: PLR0913 - its neighbours, in the order of the work
        self,
        slots: Slots,
        source: ModelSource,
        host: ModelHost,
        session: InferenceSession,
        *,
        load: Callable[[Path], InferenceSession] = InferenceSession,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`session` is what the host runs now, of the active slot."""
        self.activation_ms = 0.0  # of the last one: from the first write of the pointer until the new session answers
        self._slots = slots
        self._source = source
        self._host = host
        self._session = session
        self._load = load
        self._clock = clock
        self._newest: bytes | None = None
        self._has_news = threading.Event()
        self._stopped = threading.Event()
        self._latencies_us: deque[float] = deque(maxlen=LATENCIES_KEPT)
        self._samples: queue.Queue[tuple[Arrays, Arrays]] = queue.Queue(maxsize=1)
        self._is_shadowing = False
        self._probation: Probation | None = None
        self._thread = threading.Thread(target=self._work, name="edgeml-updater", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread; a trial goes on at the next start."""
        self._stopped.set()
        self._has_news.set()
        if self._thread.is_alive():
            self._thread.join()

    def want(self, payload: bytes) -> None:
        """The fleet wants something; the newest want counts."""
        self._newest = payload
        self._has_news.set()

    def saw(self, feed: Arrays, outputs: Arrays, latency_us: float) -> None:
        """An inference was made; takes some microseconds, more for those that the shadow takes."""
        self._latencies_us.append(latency_us)
        probation = self._probation
        if probation is not None:
            probation.add(outputs, latency_us)
        if self._is_shadowing and self._samples.empty():
            with contextlib.suppress(queue.Full):
                self._samples.put_nowait(({name: np.copy(array) for name, array in feed.items()}, dict(outputs)))

    def _work(self) -> None:
        if self._slots.state.on_trial:
            self._try_interrupted()
        while not self._stopped.is_set():
            self._has_news.wait()
            self._has_news.clear()
            payload = self._newest
            if payload and not self._stopped.is_set():
                try:
                    self._follow(decode_want(payload))
                except WireError as error:
                    _log.warning("want ignored: %s", error)
                except _SupersededError:
                    pass
                except Exception:
                    _log.exception("update failed; it is tried again with the next want")

    def _follow(self, want: Want) -> None:
        state = self._slots.state
        digest = want.digest.hex()
        if state.current.digest == digest:
            self._tell("deploy", want, "back" if want.is_back else "confirmed")
            return
        if want.rollout in state.refused and not want.is_back:
            return
        try:
            fetched = self._fetch(digest)
            session = self._checked(want, fetched)
            if not want.is_back:
                self._shadow(want, session)
            self._activate_and_prove(want, session)
        except UpdateRefusedError as error:
            _log.warning("%s", error)
            self._slots.refuse(want.rollout)
            self._tell("update_refused", want, "failed", f"update refused: {error.reason}")
        except _LeaveError as why:
            _log.warning("rollout %d ends here: %s", want.rollout, why)
            self._tell("rollback", want, "failed", str(why))

    def _fetch(self, digest: str) -> FetchedModel:
        tries = 0
        while True:
            try:
                return self._not_older(self._source.fetch(digest))
            except UpdateUnreachableError as error:  # noqa: PERF203 - one try a second at most
                _log.warning("%s", error)
                self._wait(RETRY_S[min(tries, len(RETRY_S) - 1)])
                tries += 1

    def _not_older(self, fetched: FetchedModel) -> FetchedModel:
        """The fleet goes back by putting an old hash forward again; a want alone does not."""
        newest = self._slots.state.serial_max
        if fetched.serial < newest:
            raise UpdateRefusedError("rollback", f"serial {fetched.serial} is below {newest}")
        return fetched

    def _checked(self, want: Want, fetched: FetchedModel) -> InferenceSession:
        """Slot, session, interface, golden vectors."""
        path = self._slots.install(
            fetched.data, Slot(digest=fetched.digest, serial=fetched.serial, rollout=want.rollout)
        )
        try:
            session = self._load(path)
            has_telemetry = bool(session.telemetry_bytes)
            _, mismatches = check_golden_vectors(session)
        except EdgemlError as error:
            self._leave(want, f"the artifact cannot be used: {error}")
        if mismatches:
            self._leave(want, "golden vectors differ")
        if _interface(session) != _interface(self._session) or not has_telemetry:
            self._leave(want, "other inputs or outputs")
        return session

    def _shadow(self, want: Want, session: InferenceSession) -> None:
        shadow = Shadow(want)
        self._is_shadowing = True
        try:
            while (verdict := shadow.verdict()) is None:
                try:
                    feed, old = self._samples.get(timeout=POLL_S)
                except queue.Empty:
                    self._wait(0.0)
                    continue
                names = [spec.name for spec in session.get_outputs()]
                shadow.add(old, dict(zip(names, session.run(None, feed), strict=True)))
                self._wait(0.0)
        finally:
            self._is_shadowing = False
        if verdict:
            self._leave(want, verdict)

    def _activate_and_prove(self, want: Want, session: InferenceSession) -> None:
        old, old_us = self._session, statistics.median(self._latencies_us) if self._latencies_us else None
        begin = time.perf_counter()
        self._slots.begin_trial()
        self.activation_ms = (self._host.replace_session(session) - begin) * 1e3
        self._session = session
        self._latencies_us.clear()
        if want.is_back:
            self._slots.confirm()
            self._tell("deploy", want, "back")
            return
        self._prove(want, Probation(want, old_latency_us=old_us, now=self._clock()), old)

    def _prove(self, want: Want, probation: Probation, old: InferenceSession) -> None:
        self._probation = probation
        try:
            while (verdict := probation.verdict(self._clock())) is None:
                if self._stopped.wait(POLL_S):
                    raise _SupersededError
                if self._has_news.is_set() and self._is_back_wanted():
                    verdict = "the fleet took the rollout back"
                    break
        finally:
            self._probation = None
        if not verdict:
            self._slots.confirm()
            self._tell("deploy", want, "confirmed")
            return
        self._slots.roll_back()
        self._host.replace_session(old)
        self._session = old
        raise _LeaveError(verdict)

    def _is_back_wanted(self) -> bool:
        try:
            return self._newest is not None and decode_want(self._newest).is_back
        except WireError:
            return False

    def _try_interrupted(self) -> None:
        """A trial that the end of the process interrupted."""
        slot = self._slots.state.current
        want = Want(
            rollout=max(1, slot.rollout),
            digest=bytes.fromhex(slot.digest),
            probation_inferences=PROBATION_INFERENCES,
            probation_s=PROBATION_S,
            error_ppm=ERROR_PPM,
        )
        try:
            self._prove(
                want, Probation(want, old_latency_us=None, now=self._clock()), self._load(self._slots.other_path)
            )
        except _LeaveError as why:
            self._tell("rollback", want, "failed", str(why))
        except _SupersededError:
            pass
        except EdgemlError as error:
            _log.warning("the trial goes on at the next start: %s", error)

    def _leave(self, want: Want, why: str) -> NoReturn:
        self._slots.refuse(want.rollout)
        raise _LeaveError(why)

    def _wait(self, timeout_s: float) -> None:
        """Wait, unless something newer has come."""
        if self._has_news.wait(timeout_s) or self._stopped.is_set():
            raise _SupersededError

    def _tell(self, kind: str, want: Want, stage: str, reason: str = "") -> None:
        said = {"rollout": want.rollout, "model": want.digest.hex()[:16], "stage": stage, "reason": reason}
        self._host.tell(kind, json.dumps({name: value for name, value in said.items() if value != ""}))


def open_active_session(
    slots: Slots, load: Callable[[Path], InferenceSession] = InferenceSession
) -> tuple[InferenceSession, str]:
    """Load the active model at the start of the device; a model on trial gets another try, or the other one is loaded.

    Gives the session, and why the device went back, "" where it did not.
    """
    rollout = slots.state.current.rollout
    if not slots.try_again():
        return load(slots.active_path), json.dumps(
            {"rollout": rollout, "stage": "failed", "reason": "the device did not survive the model"}
        )
    try:
        return load(slots.active_path), ""
    except EdgemlError as error:
        if not slots.state.on_trial:
            raise
        slots.roll_back()
        reason = f"the artifact cannot be used: {error}"
        return load(slots.active_path), json.dumps({"rollout": rollout, "stage": "failed", "reason": reason})


def _interface(session: InferenceSession) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    """Names, shapes and dtypes of inputs and outputs."""
    return tuple(  # type: ignore[return-value]
        [(spec.name, tuple(spec.shape), spec.dtype.str) for spec in specs]
        for specs in (session.get_inputs(), session.get_outputs())
    )
