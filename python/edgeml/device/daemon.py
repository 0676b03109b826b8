# SPDX-License-Identifier: Apache-2.0
"""The device agent as a process: feeds in, inferences counted, windows out, until a signal ends it in order."""

from __future__ import annotations

import logging
import signal
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from edgeml.device.feeds import function_feeds, npz_feeds
from edgeml.device.monitor import Monitor, MonitorStatus
from edgeml.session import InferenceSession

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path
    from types import FrameType

    from numpy.typing import NDArray

    from edgeml.device.config import DeviceConfig

_log = logging.getLogger(__name__)


class _StopRequested(BaseException):
    """Raised by the signal handler inside a source that waits for its next input; nothing else may swallow it."""


class StopSignal:
    """SIGTERM and SIGINT: between two inferences they are looked at, a source that waits is interrupted."""

    def __init__(self) -> None:
        self.event = threading.Event()
        self._in_source = False

    def handle(self, number: int, _frame: FrameType | None) -> None:
        """Handle a signal, in the main thread."""
        _log.info("signal %s: ending", signal.Signals(number).name)
        self.event.set()
        if self._in_source:
            raise _StopRequested

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Handle SIGTERM and SIGINT inside the block."""
        before = {number: signal.signal(number, self.handle) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def feeds(self, source: Iterator[Mapping[str, NDArray[Any]]]) -> Iterator[Mapping[str, NDArray[Any]]]:
        """Yield what `source` yields until it ends or a signal comes."""
        while not self.event.is_set():
            try:
                self._in_source = True
                feed = next(source, None)
                self._in_source = False
            except _StopRequested:
                return
            finally:
                self._in_source = False
            if feed is None:
                return
            yield feed


def run_device(config: DeviceConfig, folder: Path) -> MonitorStatus:
    """Run until SIGTERM, SIGINT or the end of the source; gives where the device stood at its end.

    `folder` is where the module of `[input] source` may be. The last window is released before the return.

    Raises:
        EdgemlError: the model, the state directory, an option or an input cannot be used.
    """
    stop = StopSignal()
    with stop.installed():
        with _monitor(config) as monitor:
            if config.input.npz is not None:
                source: Iterator[Mapping[str, NDArray[Any]]] = npz_feeds(config.input.npz, monitor.get_inputs())
            else:
                source = function_feeds(str(config.input.source), folder)
            _log.info("device %s runs %s", config.device, config.model)
            _run(monitor, stop, source, config.input.period_s)
        return monitor.close()


@contextmanager
def _monitor(config: DeviceConfig) -> Iterator[Monitor]:
    """Monitor the model of the configuration, or where it has [update], whichever the fleet has put in its place."""

    def make(session: InferenceSession, on_want: Callable[[bytes], None] | None = None) -> Monitor:
        return Monitor(
            session,
            state=config.state,
            device=config.device,
            tenant=config.tenant,
            broker=config.broker,
            key=config.key,
            tls=config.tls,
            budget=config.budget,
            window_s=config.window_s,
            on_want=on_want,
        )

    if config.update is None:
        with make(InferenceSession(config.model, threads=config.threads, isa=config.isa)) as monitor:
            yield monitor
        return
    from edgeml.device.update.updating_monitor import updating_monitor  # noqa: PLC0415 - TUF, for those who update

    with updating_monitor(
        make,
        factory=config.model,
        state=config.state,
        source=config.update.source(),
        threads=config.threads,
        isa=config.isa,
    ) as monitor:
        yield monitor


def _run(monitor: Monitor, stop: StopSignal, source: Iterator[Mapping[str, NDArray[Any]]], period_s: float) -> None:
    due = time.monotonic()
    for feed in stop.feeds(source):
        monitor.run(None, feed)
        due = max(due + period_s, time.monotonic())
        stop.event.wait(due - time.monotonic())
