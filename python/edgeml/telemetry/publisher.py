# SPDX-License-Identifier: Apache-2.0
"""Sends what the spool holds until the fleet says that it has it. One thread, which nothing else waits for.

Everything in the spool is unacknowledged. A connection starts at its beginning; what is not acknowledged within
`ack_timeout_s` is sent again. Only `Spool.acknowledge` deletes.

Windows go out once the fleet has answered the birth: its answer names the newest ledger entry that it knows. If that is
not in the ledger, this state is a copy (restored, or cloned), and nothing of it may be sent.
"""

from __future__ import annotations

import contextlib
import logging
import os
import random
import threading
import time
from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from paho.mqtt.enums import MQTTProtocolVersion

from edgeml.errors import UsageError
from edgeml.telemetry.mqtt import CONNECT_TIMEOUT_S, DeviceConnection

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgeml.telemetry.messages import Birth, Message
    from edgeml.telemetry.mqtt import Destination
    from edgeml.telemetry.spool import Spool

ANSWER_TIMEOUT_S: Final = {  # from CONNECT to ready; some brokers of 3.1.1 alone leave an MQTT 5 CONNECT unanswered
    MQTTProtocolVersion.MQTTv5: 2.0,
    MQTTProtocolVersion.MQTTv311: 5.0,
}
REPORTS_IN_FLIGHT_MAX: Final = 8  # sent and not acknowledged by the fleet
REPORTS_PER_STEP: Final = 4  # between two looks at what comes in
STEP_S: Final = 5.0  # an idle connection wakes this often, for the keepalive
HANG_S: Final = (
    90.0  # a thread that did not come round for so long is left behind; longer than any connect or handshake
)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class PublisherOptions:
    """When to send again and when to call again. Seconds.

    What the fleet does not acknowledge within ack_timeout_s is sent again, then after twice that, up to ack_timeout_max_s:
    a fleet that is away for a day must not cost a day of sending. A lost connection is made again after a random time of
    at most backoff_min_s, then twice that, up to backoff_max_s.
    """

    ack_timeout_s: float = 30.0
    ack_timeout_max_s: float = 1800.0
    backoff_min_s: float = 0.5
    backoff_max_s: float = 60.0

    def __post_init__(self) -> None:
        if not 0 < self.backoff_min_s <= self.backoff_max_s:
            raise UsageError("publisher: 0 < backoff_min_s <= backoff_max_s is needed")
        if not 0 < self.ack_timeout_s <= self.ack_timeout_max_s:
            raise UsageError("publisher: 0 < ack_timeout_s <= ack_timeout_max_s is needed")


@dataclass
class _InFlight:
    """What this connection has sent."""

    sent_upto: int  # highest seq
    report_ends: deque[int]  # highest seq of each report without an ack
    progress_at: float  # monotonic time of the last ack or of the first send
    events: dict[int, int]  # message id -> event
    ack_timeout_s: float  # doubles with each resend that brings nothing
    heard_at: float  # monotonic time: the broker took a message, or had taken all
    undelivered: set[int]  # message ids that the broker does not have yet
    is_confirmed: bool = False  # the fleet has answered, and what it knows of the ledger is in it
    look: bool = True  # the spool may hold something to send

    @property
    def is_waiting(self) -> bool:
        """Whether the fleet owes an answer."""
        return bool(self.report_ends) or not self.is_confirmed


class Publisher:
    """The sending thread of one device."""

    def __init__(  # noqa: PLR0913 - all but spool and birth by name
        self,
        spool: Spool,
        birth: Birth,
        *,
        to: Destination,
        clock: Callable[[], float] = time.time,
        options: PublisherOptions | None = None,
        on_want: Callable[[bytes], None] | None = None,
    ) -> None:
        """Send from `spool`. `birth` begins each connection, with the time of `clock`. `start` starts the thread.

        `on_want` is called in that thread with the payload of each want that comes.
        """
        self.is_connected = False
        self.on_connection: Callable[[bool], None] | None = (
            None  # called by the thread when the connection comes or goes
        )
        self._spool = spool
        self._birth = birth
        self._to = to
        self._clock = clock
        self._options = options or PublisherOptions()
        self._on_want = on_want
        self._is_birth_new = False
        self._protocol = MQTTProtocolVersion.MQTTv5
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._draining = threading.Event()  # send the rest, then end
        self._stopped = threading.Event()  # end now
        self._thread: threading.Thread | None = None
        self._life = 0  # of the thread: one that was left behind sees that it is not the newest, and ends
        self._beat_at = time.monotonic()  # the thread came round

    def start(self) -> None:
        """Start the thread; also again if it has died, or hangs in a call that does not come back."""
        if self._thread is not None:
            hangs = time.monotonic() - self._beat_at > HANG_S
            if self._thread.is_alive() and not hangs:
                return
            _log.error("the publisher's thread %s; another one is started", "hangs" if hangs else "has died")
        self._life += 1
        self._beat_at = time.monotonic()
        self._thread = threading.Thread(target=self._run, args=(self._life,), name="edgeml-publisher", daemon=True)
        self._thread.start()

    def announce(self, birth: Birth) -> None:
        """Another model runs: say so now, and at each connection from now on."""
        self._birth = birth
        self._is_birth_new = True
        self.notify()

    def notify(self) -> None:
        """Say that the spool has something new; returns at once."""
        with contextlib.suppress(BlockingIOError):  # full: it is being woken already
            os.write(self._wake_write, b"\0")

    def stop(self, flush_timeout_s: float) -> None:
        """End the thread: at once where no broker answers, otherwise when the fleet has everything or the time is up."""
        self._draining.set()
        self.notify()
        if self._thread is not None:
            self._thread.join(flush_timeout_s)
            self._stopped.set()
            self.notify()
            self._thread.join(CONNECT_TIMEOUT_S + 1)  # it may stand in a connect
            if self._thread.is_alive():
                _log.error("the publisher's thread does not end; it is left behind")
                return
        os.close(self._wake_read)
        os.close(self._wake_write)

    def _goes_on(self, life: int) -> bool:
        """Whether the thread of this life is the newest and was not stopped; asked wherever it comes round."""
        if life != self._life or self._stopped.is_set():
            return False
        self._beat_at = time.monotonic()
        return True

    def _run(self, life: int) -> None:
        pause_s = self._options.backoff_min_s
        while self._goes_on(life):
            connection = DeviceConnection(self._to, self._protocol, self._spool.epoch)
            has_sent_all = is_absent = False
            try:
                connection.open()
                has_sent_all = self._serve(connection, life)
            except OSError as error:  # also what TLS complains of
                is_absent = not connection.is_open
                _log.info("broker %s: %s", self._to.broker, error)
            except Exception:
                _log.exception("publisher: unexpected error; the connection is made again")
            finally:
                self._tell_connection(is_connected=False)
                _close_quietly(connection)
            if connection.protocol_refused:
                is_v5 = self._protocol == MQTTProtocolVersion.MQTTv5
                self._protocol = MQTTProtocolVersion.MQTTv311 if is_v5 else MQTTProtocolVersion.MQTTv5
                if is_v5:
                    continue
            if not self._goes_on(life) or (self._draining.is_set() and (has_sent_all or is_absent)):
                return
            if connection.is_ready:
                pause_s = self._options.backoff_min_s
            # Jitter keeps a fleet from calling a broker that comes back in one second. Not a secret, so not a CSPRNG.
            self._pause(random.uniform(0, pause_s))  # noqa: S311
            pause_s = min(2 * pause_s, self._options.backoff_max_s)

    def _tell_connection(self, *, is_connected: bool) -> None:
        if is_connected == self.is_connected:
            return
        self.is_connected = is_connected
        if self.on_connection is not None:
            self.on_connection(is_connected)

    def _pause(self, timeout_s: float) -> None:
        if self._draining.is_set():
            self._stopped.wait(min(timeout_s, self._options.backoff_min_s))
        else:
            self._draining.wait(timeout_s)

    def _serve(self, connection: DeviceConnection, life: int) -> bool:
        """One connection, until it ends or the stop; True where `stop` was called and the fleet has everything."""
        deadline = time.monotonic() + ANSWER_TIMEOUT_S[self._protocol]
        while connection.is_open and not connection.is_ready and self._goes_on(life):
            if time.monotonic() > deadline:
                connection.protocol_refused = True
                return False
            connection.step(0.1, self._wake_read)
            self._empty_wake()
        if not connection.is_ready:
            return False
        self._tell_connection(is_connected=True)
        _log.info("connected to broker %s", self._to.broker)
        connection.clear_last_will()
        flight = _InFlight(
            sent_upto=0,
            report_ends=deque(),
            progress_at=time.monotonic(),
            events={},
            ack_timeout_s=self._options.ack_timeout_s,
            heard_at=time.monotonic(),
            undelivered=set(),
        )
        self._publish_birth(connection, flight)
        while connection.is_open and self._goes_on(life):
            self._send(connection, flight)
            if self._draining.is_set() and self._has_sent_all(flight):
                return True
            connection.step(self._step_s(flight), self._wake_read)
            flight.look |= self._empty_wake()
            if self._is_birth_new:
                self._is_birth_new = False
                self._publish_birth(connection, flight)
            if not self._receive(connection, flight):
                break
            if flight.undelivered and time.monotonic() - flight.heard_at >= self._options.ack_timeout_s:
                _log.warning("broker %s does not answer: the connection is made again", self._to.broker)
                break
        return False

    def _has_sent_all(self, flight: _InFlight) -> bool:
        if flight.report_ends or flight.events:
            return False
        return not flight.look if flight.is_confirmed else self._spool.spool_from() > self._spool.produced()

    def _publish(self, connection: DeviceConnection, flight: _InFlight, channel: str, message: Message) -> int:
        message_id = connection.publish(channel, message)
        if not flight.undelivered:
            flight.heard_at = time.monotonic()
        flight.undelivered.add(message_id)
        return message_id

    def _publish_birth(self, connection: DeviceConnection, flight: _InFlight) -> None:
        head = self._spool.ledger.head()
        birth = replace(self._birth, epoch=self._spool.epoch, time=int(self._clock()), ledger_head=head)
        self._publish(connection, flight, "birth", birth)

    def _send(self, connection: DeviceConnection, flight: _InFlight) -> None:
        now = time.monotonic()
        if flight.is_waiting and now - flight.progress_at >= flight.ack_timeout_s:
            flight.progress_at = now
            flight.ack_timeout_s = min(2 * flight.ack_timeout_s, self._options.ack_timeout_max_s)
            _log.info("no ack: sending again, the next time after %g s", flight.ack_timeout_s)
            if flight.is_confirmed:
                flight.sent_upto, flight.look = 0, True
                flight.report_ends.clear()
            else:
                self._publish_birth(connection, flight)  # nobody collected when the last one came
        if not flight.look:
            return
        waiting = set(flight.events.values())
        for number, event in self._spool.events():
            if number not in waiting:
                flight.events[self._publish(connection, flight, "evt", event)] = number
        for _ in range(REPORTS_PER_STEP):
            if not flight.is_confirmed or len(flight.report_ends) >= REPORTS_IN_FLIGHT_MAX:
                break
            report = self._spool.report(flight.sent_upto, self._clock())
            if report is None:
                break
            if not flight.report_ends:
                flight.progress_at = now
            self._publish(connection, flight, "tel", report)
            flight.sent_upto = report.upto
            flight.report_ends.append(flight.sent_upto)
        else:
            return  # there may be more: after a look at what comes in
        flight.look = not flight.is_confirmed

    def _receive(self, connection: DeviceConnection, flight: _InFlight) -> bool:
        """Take acks; False where a new epoch has begun, which needs a new connection."""
        for ack in connection.take_acks():
            if ack.epoch != self._spool.epoch:
                continue
            if not self._spool.ledger.has(ack.ledger_head):
                self._spool.begin_anew(self._clock(), ack.ledger_head)
                return False
            if not flight.is_confirmed:
                flight.is_confirmed = flight.look = True
                flight.ack_timeout_s = self._options.ack_timeout_s
            if self._spool.acknowledge(ack, self._clock()):
                flight.progress_at = time.monotonic()
                flight.ack_timeout_s = self._options.ack_timeout_s
                flight.look = True
            while flight.report_ends and flight.report_ends[0] <= ack.contiguous_upto:
                flight.report_ends.popleft()
        for payload in connection.take_wants():
            if self._on_want is not None:
                self._on_want(payload)
        for message_id in connection.take_delivered():
            flight.undelivered.discard(message_id)
            flight.heard_at = time.monotonic()
            if message_id in flight.events:
                self._spool.remove_event(flight.events.pop(message_id))
        return True

    def _step_s(self, flight: _InFlight) -> float:
        if flight.is_confirmed and flight.look:
            return 0.0
        if not flight.is_waiting:
            return STEP_S
        return min(STEP_S, max(flight.progress_at + flight.ack_timeout_s - time.monotonic(), 0.0) + 0.001)

    def _empty_wake(self) -> bool:
        """Whether `notify` was called since the last look."""
        try:
            return bool(os.read(self._wake_read, 4096))
        except BlockingIOError:
            return False


def _close_quietly(connection: DeviceConnection) -> None:
    try:
        connection.close()
    except (OSError, ValueError) as error:
        _log.debug("closing the connection: %s", error)
