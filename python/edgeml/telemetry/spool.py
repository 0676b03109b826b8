# SPDX-License-Identifier: Apache-2.0
"""Released windows waiting on disk for the fleet's ack, in one file with the ledger that paid for them.

A window's key is (epoch, seq): epoch is 64 random bits made with the file, seq counts from 1 and is given out by the
transaction that stores the window. Rows go when an ack of this epoch says that the fleet has them, and for no other
reason. What is stored is sent as it is, however often: noise is never drawn again.
"""

from __future__ import annotations

import logging
import os
import secrets
import sqlite3
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Final

from edgeml.errors import DeviceError, WireError
from edgeml.privacy.ledger import Head, Ledger, Reservation
from edgeml.telemetry.coarsening import coarsen
from edgeml.telemetry.messages import ID_BYTES, LOST_RANGES_MAX, WINDOWS_OF_REPORT_MAX, Ack, Event, Report, Window
from edgeml.telemetry.spool_tables import SPOOL_TABLES, WINDOW_COLUMNS, insert_window, read_window
from edgeml.telemetry.state_directory import SPOOL_FILE, lock_directory, move_aside, open_sound_file, set_aside
from edgeml.telemetry.varint import pack_counts

if TYPE_CHECKING:
    from pathlib import Path

    from edgeml._core import ReleasedCounts
    from edgeml.privacy import PrivacyBudget
    from edgeml.privacy.durable_file import DurableFile

SPOOL_BYTES_MAX: Final = 8 << 20
COARSENING_SHARE: Final = 32  # a pass of coarsening makes room for 1/32 of the spool
EVENTS_MAX: Final = 256  # waiting for the broker; the oldest go first
REPORT_BYTES_TARGET: Final = 128 << 10  # of counts in one report: well below MESSAGE_BYTES_MAX

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class WindowSpan:
    """What a window is of: model, schema, and from when to when (unix seconds)."""

    model_id: bytes
    schema_id: bytes
    start: float
    end: float


class Spool:
    """The spool and the ledger of one state directory, which one process at a time can hold.

    Raises:
        DeviceError: the directory cannot be written, is held by another process, or the disk is full.
    """

    def __init__(self, directory: Path, *, budget: PrivacyBudget, now: float, bytes_max: int = SPOOL_BYTES_MAX) -> None:
        """Open the spool in `directory`, or make it. A damaged file is renamed aside and a new epoch begins."""
        self.directory = directory
        self._bytes_max = bytes_max
        self._opened_at = now
        self._is_stuck = False  # full, and nothing left to coarsen
        self._lock_fd = lock_directory(directory)
        try:
            self._file, damage = open_sound_file(directory / SPOOL_FILE, now)
            if self._is_begun() and not Ledger(self._file, budget).is_sound():
                self._file.close()
                self._file, damage = set_aside(directory / SPOOL_FILE, now)
            self.ledger = Ledger(self._file, budget)
            self.epoch = self._begin(damage, now)
            with self._file.transaction() as connection:
                if self._note_lost(connection):
                    _insert_event(connection, "window_damaged", now, "windows are missing in the spool")
        except sqlite3.Error as error:
            os.close(self._lock_fd)
            raise DeviceError(f"state directory {directory}: {error}; free some space or choose another one") from error
        except BaseException:
            os.close(self._lock_fd)
            raise

    @property
    def file(self) -> DurableFile:
        """The file, for the ledger's readers and for fault injection."""
        return self._file

    def _is_begun(self) -> bool:
        return bool(self._file.read("SELECT name FROM sqlite_schema WHERE name = 'spool'"))

    def _begin(self, damage: str, now: float) -> bytes:
        if self._is_begun():
            return bytes(self._file.read("SELECT epoch FROM spool")[0][0])
        with self._file.transaction() as connection:
            for table in SPOOL_TABLES:
                connection.execute(table)
            epoch = secrets.token_bytes(ID_BYTES)
            _insert_epoch(connection, epoch)
            if damage:
                self.ledger.burn_day(connection, self.ledger.day_of(now), now)
                detail = f"{damage}; a new epoch begins, the budget of the day counts as spent"
                _insert_event(connection, "spool_recovered", now, detail)
        return epoch

    def recover(self, now: float) -> None:
        """Keep a file that was damaged while it was open aside, and begin a new epoch in a new one, as at a start."""
        damage: list[str] = []
        self._file.reopen(lambda: damage.append(move_aside(self._file.path, now)))
        self.epoch = self._begin(damage[0], now)
        self._is_stuck = False

    def begin_anew(self, now: float, known: Head) -> None:
        """Begin a new epoch because the fleet knows an entry, `known`, that is not in this ledger; durable on return.

        This state is a copy: restored from an image, or a second device goes on with it. What it holds may be in the store,
        or be paid for twice, so it is given up, and the budget of the day counts as spent.
        """
        with self._file.transaction() as connection:
            day = self.ledger.day_of(now)
            held = self.produced() - self.acked_upto()
            head = self.ledger.head()
            for table in ("window", "lost", "spool"):
                connection.execute(f"DELETE FROM {table}")  # noqa: S608 - constant
            epoch = secrets.token_bytes(ID_BYTES)
            _insert_epoch(connection, epoch)
            self.ledger.burn_day(connection, day, now)
            detail = (
                f"the fleet knows entry {known.entries} of the ledger of epoch {self.epoch.hex()}, this copy ends in another"
                f" entry {head.entries}: restored, or copied to a second device; {held} windows that only the copy held are"
                f" given up, epoch {epoch.hex()} begins, the budget of the day counts as spent"
            )
            _insert_event(connection, "ledger_forked", now, detail)
        _log.error("%s: %s", self.directory, detail)
        self.epoch = epoch
        self._is_stuck = False

    def store(self, released: ReleasedCounts, *, reservation: Reservation, span: WindowSpan) -> int:
        """Store a released window and settle its reservation, in one transaction; gives its seq. Durable on return.

        Where the spool is full, older windows are added together in the same transaction.

        Raises:
            DeviceError: the disk is full or fails; nothing is stored, the reservation stays spent.
        """
        try:
            with self._file.transaction() as connection:
                self._make_room(connection, span.end)
                seq = self.produced() + 1
                window = Window(
                    seq=seq,
                    model_id=span.model_id,
                    schema_id=span.schema_id,
                    start=int(span.start),
                    end=int(span.end),
                    packed_counts=pack_counts(released.counts),
                    noise_scale=Fraction(*released.noise_scale),
                    epsilon_micro=reservation.epsilon_micro,
                )
                insert_window(connection, window, reservation.day)
                connection.execute("UPDATE spool SET produced = ?", (seq,))
                if not Ledger.settle(connection, reservation, seq):
                    raise DeviceError(f"spool {self.directory}: window not stored: the ledger lacks its reservation")
        except sqlite3.Error as error:
            raise DeviceError(f"spool {self.directory}: window not stored: {error}") from error
        return seq

    def _make_room(self, connection: sqlite3.Connection, now: float) -> None:
        sent_upto = connection.execute("SELECT sent_upto FROM spool").fetchone()[0]
        while self._file.used_bytes() >= self._bytes_max:
            done = coarsen(connection, free_bytes=self._bytes_max // COARSENING_SHARE, sent_upto=sent_upto)
            if done is None:
                self._is_stuck = True
                return
            detail = f"the spool is full: {done.windows} windows were added together into {done.rows}; no count is lost"
            _insert_event(connection, "coarsened", now, detail)

    def produced(self) -> int:
        """Give the highest seq so far, 0 if none."""
        return int(self._file.read("SELECT produced FROM spool")[0][0])

    def acked_upto(self) -> int:
        """Give the seq up to which the fleet has everything."""
        return int(self._file.read("SELECT acked_upto FROM spool")[0][0])

    def spool_from(self) -> int:
        """Give the lowest seq still here, produced + 1 if none."""
        return self.acked_upto() + 1

    def lost(self, after: int = 0) -> tuple[tuple[int, int], ...]:
        """Ranges of seqs above `after`, first to last, that the medium destroyed and the fleet still waits for."""
        query = "SELECT first, last FROM lost WHERE last > ? ORDER BY last LIMIT ?"
        return tuple((first, last) for first, last in self._file.read(query, (after, LOST_RANGES_MAX)))

    def windows(
        self, after: int, limit: int = WINDOWS_OF_REPORT_MAX, *, upto_day: int | None = None
    ) -> tuple[Window, ...]:
        """Windows above seq `after`, lowest first, as many as one report takes.

        `upto_day`: only up to the first that a later day pays for.
        """
        rows = self._file.read(
            f"SELECT {WINDOW_COLUMNS}, checksum FROM window WHERE seq > ? ORDER BY seq LIMIT ?",  # noqa: S608 - constant
            (after, limit),
        )
        taken: list[Window] = []
        room = REPORT_BYTES_TARGET
        for row in rows:
            try:
                window, day = read_window(row)
            except (WireError, ZeroDivisionError, TypeError) as error:  # the medium has changed a bit of it
                self._remove_damaged(row[0], error)
                continue
            room -= len(window.packed_counts)
            if (taken and room < 0) or (upto_day is not None and day > upto_day):
                break
            taken.append(window)
        return tuple(taken)

    def _remove_damaged(self, seq: int, error: Exception) -> None:
        """Give up a row that can never be sent; the fleet is told which windows it was."""
        _log.error("window %d is damaged and given up: %s", seq, error)
        with self._file.transaction() as connection:
            connection.execute("DELETE FROM window WHERE seq = ?", (seq,))
            self._note_lost(connection)
            _insert_event(
                connection, "window_damaged", self._opened_at, f"window {seq} could not be read from the spool"
            )

    def _note_lost(self, connection: sqlite3.Connection) -> bool:
        """Write down what no row covers any more; gives whether that is more than before."""
        produced, upto = connection.execute("SELECT produced, acked_upto FROM spool").fetchone()
        gaps = []
        for seq, merged in connection.execute("SELECT seq, merged FROM window WHERE seq > ? ORDER BY seq", (upto,)):
            if seq - merged > upto:
                gaps.append((upto + 1, seq - merged))
            upto = seq
        if produced > upto:
            gaps.append((upto + 1, produced))
        if gaps == connection.execute("SELECT first, last FROM lost ORDER BY last").fetchall():
            return False
        connection.execute("DELETE FROM lost")
        connection.executemany("INSERT INTO lost (first, last) VALUES (?, ?)", gaps)
        return True

    def report(self, after: int, now: float) -> Report | None:
        """Build the next report of what is above seq `after`, windows and lost ones; None if there is nothing to send.

        Its windows are never coarsened from now on, in this process or a later one: the fleet may have them.
        """
        windows = self.windows(after, upto_day=self.ledger.day_of(now))
        lost = self.lost(after)
        if not windows and not lost:
            return None
        upto = windows[-1].seq if windows else 0
        if upto > self._file.read("SELECT sent_upto FROM spool")[0][0]:
            with self._file.transaction() as connection:
                connection.execute("UPDATE spool SET sent_upto = ?", (upto,))
        return Report(
            epoch=self.epoch,
            produced=self.produced(),
            spool_from=self.spool_from(),
            windows=windows,
            epsilon_spent_micro=self.ledger.spent_micro(now),
            epsilon_budget_micro=self.ledger.budget.day_micro,
            ledger_head=self.ledger.head(),
            lost=lost,
        )

    def acknowledge(self, ack: Ack, now: float | None = None) -> int:
        """Delete what the fleet has stored; gives how many windows. Acks of other epochs change nothing."""
        if ack.epoch != self.epoch:
            _log.warning("ack of epoch %s ignored, the spool's is %s", ack.epoch.hex(), self.epoch.hex())
            return 0
        if ack.contiguous_upto > self.produced():
            _log.warning("ack up to %d ignored: only %d windows were made", ack.contiguous_upto, self.produced())
            return 0
        self._is_stuck = False
        if ack.contiguous_upto <= self.acked_upto():  # nothing new: no write on flash
            return 0
        with self._file.transaction() as connection:
            upto = ack.contiguous_upto
            at = None if now is None else int(now)
            connection.execute("UPDATE spool SET acked_upto = ?, acked_at = coalesce(?, acked_at)", (upto, at))
            connection.execute("DELETE FROM lost WHERE last <= ?", (upto,))
            return connection.execute("DELETE FROM window WHERE seq <= ?", (upto,)).rowcount

    def is_full(self) -> bool:
        """Whether no further window should be released until some are acknowledged: full, and nothing left to coarsen."""
        return self._is_stuck and self._file.used_bytes() >= self._bytes_max

    def add_event(self, kind: str, now: float, detail: str) -> None:
        """Keep an event for the fleet until the broker has it."""
        with self._file.transaction() as connection:
            _insert_event(connection, kind, now, detail)

    def events(self) -> list[tuple[int, Event]]:
        """Events that the broker does not have yet, each with its id."""
        rows = self._file.read("SELECT id, kind, time, detail FROM event ORDER BY id")
        return [(row[0], Event(epoch=self.epoch, kind=row[1], time=row[2], detail=row[3])) for row in rows]

    def remove_event(self, number: int) -> None:
        """Forget an event that the broker has."""
        with self._file.transaction() as connection:
            connection.execute("DELETE FROM event WHERE id = ?", (number,))

    def close(self) -> None:
        """Close the file and let go of the directory."""
        self._file.close()
        os.close(self._lock_fd)


def _insert_epoch(connection: sqlite3.Connection, epoch: bytes) -> None:
    connection.execute("INSERT INTO spool (epoch, produced, acked_upto, sent_upto) VALUES (?, 0, 0, 0)", (epoch,))
    Ledger.begin_chain(connection, epoch)


def _insert_event(connection: sqlite3.Connection, kind: str, now: float, detail: str) -> None:
    connection.execute("INSERT INTO event (kind, time, detail) VALUES (?, ?, ?)", (kind, int(now), detail))
    connection.execute("DELETE FROM event WHERE id <= (SELECT max(id) FROM event) - ?", (EVENTS_MAX,))
