# SPDX-License-Identifier: Apache-2.0
"""The books of the privacy budget: what is reserved is spent, whatever happens afterwards.

    reserve (durable) -> sample noise and store the window (one transaction) -> send -> acked

A crash after `reserve` leaves an entry without a window: that epsilon is burnt. Nothing is refunded, and no noise is
drawn twice for one entry. Days are UTC; when the clock goes back, the ledger stays in the later day.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from edgeml.errors import BudgetSpentError, UsageError
from edgeml.privacy.accounting import micro_rho_of_epsilon
from edgeml.privacy.budget import MICRO, PrivacyBudget

if TYPE_CHECKING:
    from fractions import Fraction
    from pathlib import Path

    from edgeml.privacy.durable_file import DurableFile

DAY_S: Final = 86_400

LEDGER_TABLES: Final = (
    """CREATE TABLE IF NOT EXISTS ledger (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        day INTEGER NOT NULL,            -- days since 1970-01-01 UTC
        time INTEGER NOT NULL,           -- unix seconds by the clock of the device
        epsilon_micro INTEGER NOT NULL CHECK (epsilon_micro > 0),
        budget_micro INTEGER NOT NULL,   -- of the day, as it was configured then
        seq INTEGER UNIQUE               -- of the window that was stored; NULL: none was, the epsilon is burnt
    ) STRICT""",
    "CREATE INDEX IF NOT EXISTS ledger_by_day ON ledger (day)",
)


@dataclass(kw_only=True, eq=False)
class Reservation:
    """Epsilon that is charged already, good for one release. Made by `Ledger.reserve`."""

    id: int
    day: int
    epsilon: Fraction
    epsilon_micro: int
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
        """Use the ledger in `file`, whose tables (LEDGER_TABLES) exist."""
        self._file = file
        self.budget = budget

    def day_of(self, now: float) -> int:
        """UTC day of `now`, or the latest day with an entry if that is later."""
        latest = self._file.read("SELECT max(day) FROM ledger")[0][0]
        return max(int(now) // DAY_S, latest or 0)

    def spent_micro(self, now: float) -> int:
        """Micro-epsilon spent in the day of `now`."""
        return _spent_micro(self._file.read("SELECT sum(epsilon_micro) FROM ledger WHERE day = ?", (self.day_of(now),)))

    def can_reserve(self, now: float) -> bool:
        """Whether the day of `now` covers one more release."""
        return self.spent_micro(now) + self.budget.release_micro <= self.budget.day_micro

    def reserve(self, now: float) -> Reservation:
        """Charge one release to the day of `now` (unix seconds); durable on return.

        Raises:
            BudgetSpentError: the day does not cover it; nothing is charged.
        """
        with self._file.transaction() as connection:
            day = self.day_of(now)
            spent = self.spent_micro(now)
            if spent + self.budget.release_micro > self.budget.day_micro:
                raise BudgetSpentError(
                    f"privacy budget: {spent / MICRO:g} of {self.budget.day_micro / MICRO:g} epsilon are spent today, a"
                    f" release needs {self.budget.release_micro / MICRO:g}; the counts go out with a later window"
                )
            number = self._charge(connection, day, now, self.budget.release_micro)
        return Reservation(
            id=number, day=day, epsilon=self.budget.release_epsilon, epsilon_micro=self.budget.release_micro
        )

    def burn_day(self, connection: sqlite3.Connection, now: float) -> None:
        """Charge the whole day: for a new ledger in place of a damaged one, whose entries nobody knows."""
        self._charge(connection, int(now) // DAY_S, now, self.budget.day_micro)

    def _charge(self, connection: sqlite3.Connection, day: int, now: float, epsilon_micro: int) -> int:
        cursor = connection.execute(
            "INSERT INTO ledger (day, time, epsilon_micro, budget_micro) VALUES (?, ?, ?, ?)",
            (day, int(now), epsilon_micro, self.budget.day_micro),
        )
        return int(cursor.lastrowid or 0)

    @staticmethod
    def settle(connection: sqlite3.Connection, reservation: Reservation, seq: int) -> None:
        """Note that the release of a reservation became window `seq`; in the transaction that stores it."""
        connection.execute("UPDATE ledger SET seq = ? WHERE id = ? AND seq IS NULL", (seq, reservation.id))


def read_days(path: Path) -> list[DaySpent]:
    """Every day with an entry in the file at `path`, oldest first; only reads, also while a device has it open.

    Raises:
        sqlite3.Error: not a file with a ledger.
    """
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        rows = connection.execute(
            # A bare column beside max() is that of the row with the maximum (SQLite, SELECT, section 2.5).
            "SELECT day, sum(epsilon_micro), count(*), count(*) - count(seq), budget_micro, max(id)"
            " FROM ledger GROUP BY day ORDER BY day"
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


def _spent_micro(rows: list[tuple[int | None]]) -> int:
    return rows[0][0] or 0
