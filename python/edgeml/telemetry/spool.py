# SPDX-License-Identifier: Apache-2.0
"""Released windows waiting on disk for the fleet's ack, in one file with the ledger that paid for them.

A window's key is (epoch, seq): epoch is 64 random bits made with the file, seq counts from 1 and is given out by the
transaction that stores the window. Rows go when an ack of this epoch says that the fleet has them, and for no other
reason. What is stored is sent as it is, however often: noise is never drawn again.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import secrets
import sqlite3
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

from edgeml.errors import DeviceError, WireError
from edgeml.privacy.durable_file import DurableFile
from edgeml.privacy.ledger import LEDGER_TABLES, Ledger, Reservation
from edgeml.telemetry.messages import ID_BYTES, WINDOWS_OF_REPORT_MAX, Ack, Event, Report, Window
from edgeml.telemetry.varint import pack_counts

if TYPE_CHECKING:
    from pathlib import Path

    from edgeml._core import ReleasedCounts
    from edgeml.privacy import PrivacyBudget

SPOOL_FILE: Final = "spool.sqlite3"
LOCK_FILE: Final = "lock"
SPOOL_BYTES_MAX: Final = 8 << 20
EVENTS_MAX: Final = 256  # waiting for the broker; the oldest go first
REPORT_BYTES_TARGET: Final = 128 << 10  # of counts in one report: well below MESSAGE_BYTES_MAX

_TABLES: Final = (
    *LEDGER_TABLES,
    "CREATE TABLE IF NOT EXISTS spool (epoch BLOB NOT NULL CHECK (length(epoch) = 8)) STRICT",
    """CREATE TABLE IF NOT EXISTS window (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        model_id BLOB NOT NULL,
        schema_id BLOB NOT NULL,
        start INTEGER NOT NULL,
        "end" INTEGER NOT NULL,
        packed_counts BLOB NOT NULL,
        noise_numerator INTEGER NOT NULL,
        noise_denominator INTEGER NOT NULL,
        merged INTEGER NOT NULL,
        epsilon_micro INTEGER NOT NULL
    ) STRICT""",
    "CREATE TABLE IF NOT EXISTS given_up (seq INTEGER PRIMARY KEY) STRICT",  # damaged rows; the fleet never gets them
    """CREATE TABLE IF NOT EXISTS event (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        kind TEXT NOT NULL,
        time INTEGER NOT NULL,
        detail TEXT NOT NULL
    ) STRICT""",
)
_WINDOW_COLUMNS: Final = (
    'seq, model_id, schema_id, start, "end", packed_counts, noise_numerator, noise_denominator, merged, epsilon_micro'
)

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
        self._lock_fd = _lock_directory(directory)
        try:
            self._file, damage = _open_file(directory / SPOOL_FILE, now)
            self.ledger = Ledger(self._file, budget)
            self.epoch = self._begin(damage, now)
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

    def _begin(self, damage: str, now: float) -> bytes:
        with self._file.transaction() as connection:
            for table in _TABLES:
                connection.execute(table)
            if row := connection.execute("SELECT epoch FROM spool").fetchone():
                return bytes(row[0])
            epoch = secrets.token_bytes(ID_BYTES)
            connection.execute("INSERT INTO spool (epoch) VALUES (?)", (epoch,))
            if damage:
                self.ledger.burn_day(connection, now)
                detail = f"{damage}; a new epoch begins, the budget of the day counts as spent"
                _insert_event(connection, "spool_recovered", now, detail)
        return epoch

    def store(self, released: ReleasedCounts, *, reservation: Reservation, span: WindowSpan) -> int:
        """Store a released window and settle its reservation, in one transaction; gives its seq. Durable on return.

        Raises:
            DeviceError: the disk is full or fails; nothing is stored, the reservation stays spent.
        """
        row = (
            *(span.model_id, span.schema_id, int(span.start), int(span.end), pack_counts(released.counts)),
            *(*released.noise_scale, 1, reservation.epsilon_micro),
        )
        try:
            with self._file.transaction() as connection:
                statement = f"INSERT INTO window ({_WINDOW_COLUMNS}) VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608
                seq = int(connection.execute(statement, row).lastrowid or 0)
                Ledger.settle(connection, reservation, seq)
        except sqlite3.Error as error:
            raise DeviceError(f"spool {self.directory}: window not stored: {error}") from error
        return seq

    def produced(self) -> int:
        """Give the highest seq so far, 0 if none."""
        rows = self._file.read("SELECT seq FROM sqlite_sequence WHERE name = 'window'")
        return int(rows[0][0]) if rows else 0

    def spool_from(self) -> int:
        """Give the lowest seq still here, produced + 1 if none."""
        lowest = self._file.read("SELECT min(seq) FROM window")[0][0]
        return self.produced() + 1 if lowest is None else int(lowest)

    def windows(self, after: int, limit: int = WINDOWS_OF_REPORT_MAX) -> tuple[Window, ...]:
        """Windows above seq `after`, lowest first, as many as one report takes."""
        rows = self._file.read(
            f"SELECT {_WINDOW_COLUMNS} FROM window WHERE seq > ? ORDER BY seq LIMIT ?",  # noqa: S608 - constant
            (after, limit),
        )
        taken: list[Window] = []
        room = REPORT_BYTES_TARGET
        for row in rows:
            try:
                window = _window_of(row)
            except (WireError, ZeroDivisionError, TypeError) as error:  # the medium has changed a bit of it
                self._remove_damaged(row[0], error)
                continue
            room -= len(window.packed_counts)
            if taken and room < 0:
                break
            taken.append(window)
        return tuple(taken)

    def _remove_damaged(self, seq: int, error: Exception) -> None:
        """Give up a window that can never be sent; the fleet's books show it as unaccounted, which it is."""
        _log.error("window %d is damaged and given up: %s", seq, error)
        with self._file.transaction() as connection:
            connection.execute("DELETE FROM window WHERE seq = ?", (seq,))
            connection.execute("INSERT OR IGNORE INTO given_up VALUES (?)", (seq,))
            _insert_event(
                connection, "window_damaged", self._opened_at, f"window {seq} could not be read from the spool"
            )

    def report(self, after: int, now: float) -> Report | None:
        """Build the next report with windows above seq `after`; None if there are none."""
        windows = self.windows(after)
        if not windows:
            return None
        return Report(
            epoch=self.epoch,
            produced=self.produced(),
            spool_from=self.spool_from(),
            windows=windows,
            epsilon_spent_micro=self.ledger.spent_micro(now),
            epsilon_budget_micro=self.ledger.budget.day_micro,
        )

    def acknowledge(self, ack: Ack) -> int:
        """Delete what the fleet has stored; gives how many windows. Acks of other epochs change nothing."""
        if ack.epoch != self.epoch:
            _log.warning("ack of epoch %s ignored, the spool's is %s", ack.epoch.hex(), self.epoch.hex())
            return 0
        if ack.contiguous_upto > self.produced():
            _log.warning("ack up to %d ignored: only %d windows were made", ack.contiguous_upto, self.produced())
            return 0
        with self._file.transaction() as connection:
            given_up = {seq for (seq,) in connection.execute("SELECT seq FROM given_up")}
            upto = ack.contiguous_upto
            if given_up:  # the fleet waits for them without end: what it has behind them can go
                passed = given_up.union(ack.holes)
                while upto + 1 in passed:
                    upto += 1
            return connection.execute("DELETE FROM window WHERE seq <= ?", (upto,)).rowcount

    def is_full(self) -> bool:
        """Whether no further window should be released until some are acknowledged."""
        return self._file.used_bytes() >= self._bytes_max

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


def _window_of(row: tuple[Any, ...]) -> Window:
    seq, model_id, schema_id, start, end, packed_counts, numerator, denominator, merged, epsilon_micro = row
    return Window(
        seq=seq,
        model_id=model_id,
        schema_id=schema_id,
        start=start,
        end=end,
        packed_counts=packed_counts,
        noise_scale=Fraction(numerator, denominator),
        merged=merged,
        epsilon_micro=epsilon_micro,
    )


def _insert_event(connection: sqlite3.Connection, kind: str, now: float, detail: str) -> None:
    connection.execute("INSERT INTO event (kind, time, detail) VALUES (?, ?, ?)", (kind, int(now), detail))
    connection.execute("DELETE FROM event WHERE id <= (SELECT max(id) FROM event) - ?", (EVENTS_MAX,))


def _lock_directory(directory: Path) -> int:
    """Make the directory and take its lock, which the kernel frees when the process ends, however it ends."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(directory / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise DeviceError(f"state directory {directory}: {error.strerror}; choose one that can be written") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise DeviceError(
            f"state directory {directory} is in use by another process; each device needs its own"
        ) from error
    return descriptor


def _open_file(path: Path, now: float) -> tuple[DurableFile, str]:
    """Open a sound file; a damaged one is moved aside with its log. Gives the file and the damage, "" if none."""
    existed = path.exists()
    try:
        file = DurableFile(path)
        try:
            if file.read("PRAGMA quick_check(1)") == [("ok",)]:
                is_empty = not file.read("SELECT name FROM sqlite_schema WHERE name = 'spool'")
                return file, "the file was empty" if existed and is_empty else ""
        except sqlite3.Error:
            file.close()
            raise
        file.close()
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError):  # not damage: disk full, no permission, locked
            raise
    aside = _free_name(path, now)
    _log.warning("%s is damaged; it is kept as %s", path, aside.name)
    path.rename(aside)
    for suffix in ("-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(aside.with_name(aside.name + suffix))
    return DurableFile(path), f"damaged file kept as {aside.name}"


def _free_name(path: Path, now: float) -> Path:
    stamp = f"{path.name}.damaged-{int(now)}"
    names = (path.with_name(stamp if number == 0 else f"{stamp}-{number}") for number in range(1000))
    return next(name for name in names if not name.exists())
