# SPDX-License-Identifier: Apache-2.0
"""The books of the privacy budget: what is reserved is spent, whatever happens afterwards.

    reserve (durable) -> sample noise and store the window (one transaction) -> send -> acked

A crash after `reserve` leaves an entry without a window: that epsilon is burnt. Nothing is refunded, and no noise is
drawn twice for one entry. Days are UTC; when the clock goes back, the ledger stays in the later day. Entries are
hash-chained (chain.py); the fleet keeps the newest head, so a copy of the file that goes on by itself is found out.
"""

from __future__ import annotations

import secrets
import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from edgeml.errors import BudgetSpentError, UsageError
from edgeml.privacy.accounting import micro_rho_of_epsilon
from edgeml.privacy.budget import MICRO, PrivacyBudget
from edgeml.privacy.chain import entry_hash, genesis

if TYPE_CHECKING:
    from fractions import Fraction
    from pathlib import Path

    from edgeml.privacy.durable_file import DurableFile

DAY_S: Final = 86_400
ENTRY_DAYS_KEPT: Final = 32  # older entries become one row a day
AHEAD_DAYS_MAX: Final = 7  # how far a last window may go into the budget of days to come

LEDGER_TABLES: Final = (
    """CREATE TABLE IF NOT EXISTS ledger (
        id INTEGER PRIMARY KEY,          -- 1, 2, 3 ...
        day INTEGER NOT NULL,            -- that it is charged to: days since 1970-01-01 UTC
        made_day INTEGER NOT NULL,       -- in which it was reserved: `day`, or earlier
        time INTEGER NOT NULL,           -- unix seconds by the clock of the device
        epsilon_micro INTEGER NOT NULL CHECK (epsilon_micro > 0),
        budget_micro INTEGER NOT NULL,   -- of the day, as it was configured then
        salt INTEGER NOT NULL,           -- random: copies of a ledger that go on never make the same entry
        seq INTEGER,                     -- of the window that was stored; NULL: none was, the epsilon is burnt
        hash BLOB NOT NULL               -- of the chain, over the columns above but seq
    ) STRICT""",
    # Where the chain begins: entries up to `id` are in ledger_day only.
    "CREATE TABLE IF NOT EXISTS ledger_anchor (id INTEGER NOT NULL, hash BLOB NOT NULL) STRICT",
    """CREATE TABLE IF NOT EXISTS ledger_day (
        day INTEGER PRIMARY KEY,
        spent_micro INTEGER NOT NULL,
        budget_micro INTEGER NOT NULL,
        releases INTEGER NOT NULL,
        burnt INTEGER NOT NULL
    ) STRICT""",
)
_CHAINED: Final = "id, day, made_day, time, epsilon_micro, budget_micro, salt"


@dataclass(frozen=True, kw_only=True)
class Head:
    """The newest entry of a ledger: its number, from 1, and its hash."""

    entries: int
    hash: bytes


@dataclass(kw_only=True, eq=False)
class Reservation:
    """Epsilon that is charged already, good for one release. Made by `Ledger.reserve`."""

    id: int
    day: int
    epsilon: Fraction
    epsilon_micro: int
    entry_hash: bytes
    _is_used: bool = field(default=False, repr=False)

    def use(self) -> None:
        """Take the reservation for a release.

        Raises:
            UsageError: a release has it already.
        """
        if self._is_used:
            raise UsageError("a reservation of privacy budget is good for one release; reserve again")
        self._is_used = True


@dataclass(frozen=True, kw_only=True)
class DaySpent:
    """What one UTC day has cost. `day` counts from 1970-01-01."""

    day: int
    spent_micro: int
    budget_micro: int  # as it was configured at the last release
    releases: int
    burnt: int  # releases that were reserved and never stored
    rho_micro: int  # of all of them together, zCDP (accounting.py)

    @property
    def left_micro(self) -> int:
        """Micro-epsilon that the day can still spend."""
        return max(0, self.budget_micro - self.spent_micro)


class Ledger:
    """The entries of one device, in the file that its spool is in."""

    def __init__(self, file: DurableFile, budget: PrivacyBudget) -> None:
        """Use the ledger in `file`, whose tables (LEDGER_TABLES) exist and where `begin_chain` was called once."""
        self._file = file
        self.budget = budget

    @staticmethod
    def begin_chain(connection: sqlite3.Connection, epoch: bytes) -> None:
        """Begin the chain of a new epoch, in the transaction that makes the epoch; earlier days keep their totals."""
        _fold(connection, "1")
        connection.execute("DELETE FROM ledger_anchor")
        connection.execute("INSERT INTO ledger_anchor VALUES (0, ?)", (genesis(epoch),))

    def is_sound(self) -> bool:
        """Whether the entries are the ones that were written: recomputes the whole chain."""
        anchor = self._file.read("SELECT id, hash FROM ledger_anchor")
        if len(anchor) != 1:
            return False
        number, link = anchor[0]
        for *fields, stored in self._file.read(f"SELECT {_CHAINED}, hash FROM ledger ORDER BY id"):  # noqa: S608 - constant
            number, link = number + 1, entry_hash(link, *fields)
            if (fields[0], stored) != (number, link):
                return False
        return True

    def head(self) -> Head:
        """Give the newest entry, number 0 if there is none."""
        rows = self._file.read("SELECT id, hash FROM ledger ORDER BY id DESC LIMIT 1")
        number, link = rows[0] if rows else self._file.read("SELECT id, hash FROM ledger_anchor")[0]
        return Head(entries=number, hash=link)

    def has(self, head: Head) -> bool:
        """Whether `head` is in the history of this ledger; a number that is too old to be known counts as yes.

        False: this ledger was restored from a copy, or another device goes on with a copy of it.
        """
        if head.entries == 0:  # nobody knows of any entry
            return True
        if head.entries > self.head().entries:
            return False
        rows = self._file.read(
            "SELECT hash FROM ledger WHERE id = ?1 UNION ALL SELECT hash FROM ledger_anchor WHERE id = ?1",
            (head.entries,),
        )
        return not rows or rows[0][0] == head.hash

    def day_of(self, now: float) -> int:
        """UTC day of `now`, or the latest day in which an entry was made if that is later."""
        latest = self._file.read("SELECT max(made_day) FROM ledger")[0][0]
        return max(int(now) // DAY_S, latest or 0)

    def spent_micro(self, now: float) -> int:
        """Micro-epsilon spent in the day of `now`."""
        return self._spent_on(self.day_of(now))

    def _spent_on(self, day: int) -> int:
        rows = self._file.read(
            "SELECT sum(spent) FROM (SELECT epsilon_micro AS spent FROM ledger WHERE day = ?1"
            " UNION ALL SELECT spent_micro FROM ledger_day WHERE day = ?1)",
            (day,),
        )
        return rows[0][0] or 0

    def _covers(self, day: int) -> bool:
        return self._spent_on(day) + self.budget.release_micro <= self.budget.day_micro

    def can_reserve(self, now: float) -> bool:
        """Whether the day of `now` covers one more release."""
        return self._covers(self.day_of(now))

    def reserve(self, now: float, *, ahead: bool = False) -> Reservation:
        """Charge one release to the day of `now` (unix seconds); durable on return.

        `ahead`: if that day does not cover it, to the next one that does, at most AHEAD_DAYS_MAX days on. What is
        released with such a reservation must not be sent before its day.

        Raises:
            BudgetSpentError: the budget does not cover it; nothing is charged.
        """
        with self._file.transaction() as connection:
            today = self.day_of(now)
            days = range(today, today + 1 + (AHEAD_DAYS_MAX if ahead else 0))
            day = next((day for day in days if self._covers(day)), None)
            if day is None:
                raise BudgetSpentError(
                    f"privacy budget: {self._spent_on(today) / MICRO:g} of {self.budget.day_micro / MICRO:g} epsilon are"
                    f" spent today, a release needs {self.budget.release_micro / MICRO:g}; the counts go out with a later"
                    " window"
                )
            head = self._charge(connection, day, today, now, self.budget.release_micro)
        return Reservation(
            id=head.entries,
            day=day,
            epsilon=self.budget.release_epsilon,
            epsilon_micro=self.budget.release_micro,
            entry_hash=head.hash,
        )

    def burn_day(self, connection: sqlite3.Connection, day: int, now: float) -> None:
        """Charge what is left of the day: for a ledger in place of one whose entries nobody knows, or that was copied."""
        left = self.budget.day_micro - self._spent_on(day)
        self._charge(connection, day, day, now, max(1, left))  # at least 1: an entry keeps the clock from going back

    def _charge(self, connection: sqlite3.Connection, day: int, made_day: int, now: float, epsilon_micro: int) -> Head:
        head = self.head()
        fields = (head.entries + 1, day, made_day, int(now), epsilon_micro, self.budget.day_micro, secrets.randbits(63))
        link = entry_hash(head.hash, *fields)
        connection.execute(f"INSERT INTO ledger ({_CHAINED}, hash) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (*fields, link))  # noqa: S608
        if fields[0] % 256 == 0:
            _fold_old(connection, made_day - ENTRY_DAYS_KEPT)
        return Head(entries=fields[0], hash=link)

    @staticmethod
    def settle(connection: sqlite3.Connection, reservation: Reservation, seq: int) -> bool:
        """Note that the release of a reservation became window `seq`; in the transaction that stores it.

        Gives False if the entry is not in this ledger, or has a window already.
        """
        statement = "UPDATE ledger SET seq = ? WHERE id = ? AND hash = ? AND seq IS NULL"
        return connection.execute(statement, (seq, reservation.id, reservation.entry_hash)).rowcount == 1


def _fold_old(connection: sqlite3.Connection, before_day: int) -> None:
    """Replace entries of days before `before_day` by totals; the chain then begins behind the last of them."""
    kept_from = connection.execute("SELECT min(id) FROM ledger WHERE day >= ?", (before_day,)).fetchone()[0]
    last = connection.execute("SELECT id, hash FROM ledger WHERE id = ? - 1", (kept_from,)).fetchone()
    if last is not None:
        _fold(connection, f"id <= {last[0]}")
        connection.execute("UPDATE ledger_anchor SET id = ?, hash = ?", last)


def _fold(connection: sqlite3.Connection, which: str) -> None:
    connection.execute(
        "INSERT INTO ledger_day SELECT day, sum(epsilon_micro), max(budget_micro), count(*), count(*) - count(seq)"  # noqa: S608
        f" FROM ledger WHERE {which} GROUP BY day ON CONFLICT (day) DO UPDATE SET"
        " spent_micro = spent_micro + excluded.spent_micro, budget_micro = excluded.budget_micro,"
        " releases = releases + excluded.releases, burnt = burnt + excluded.burnt"
    )
    connection.execute(f"DELETE FROM ledger WHERE {which}")  # noqa: S608


def read_days(path: Path) -> list[DaySpent]:
    """Every day with an entry in the file at `path`, oldest first; only reads, also while a device has it open.

    Raises:
        sqlite3.Error: not a file with a ledger.
    """
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        rows = connection.execute(
            # A bare column beside max() is that of the row with the maximum (SQLite, SELECT, section 2.5).
            "SELECT day, sum(spent), sum(releases), sum(burnt), budget, max(id) FROM ("
            " SELECT day, spent_micro AS spent, releases, burnt, budget_micro AS budget, 0 AS id FROM ledger_day"
            " UNION ALL SELECT day, epsilon_micro, 1, seq IS NULL, budget_micro, id FROM ledger"
            ") GROUP BY day ORDER BY day"
        ).fetchall()
        by_price = connection.execute(
            "SELECT day, epsilon_micro, count(*) FROM ledger GROUP BY day, epsilon_micro"
        ).fetchall()
    rho: dict[int, int] = {}
    for day, epsilon_micro, count in by_price:
        rho[day] = rho.get(day, 0) + count * micro_rho_of_epsilon(epsilon_micro)
    return [
        DaySpent(
            day=day, spent_micro=spent, releases=count, burnt=burnt, budget_micro=budget, rho_micro=rho.get(day, 0)
        )
        for day, spent, count, burnt, budget, _ in rows
    ]
