# SPDX-License-Identifier: Apache-2.0
"""What is reserved is spent: across crashes, restarts and clocks that go back."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest

from edgeml.errors import BudgetSpentError, UsageError
from edgeml.privacy.budget import PrivacyBudget
from edgeml.privacy.durable_file import DurableFile
from edgeml.privacy.ledger import DAY_S, LEDGER_TABLES, DaySpent, Head, Ledger, read_days

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOON = 20_000 * DAY_S + DAY_S // 2
BUDGET = PrivacyBudget(epsilon="3", per_release="1")


@pytest.fixture
def file(tmp_path: Path) -> Iterator[DurableFile]:
    file = DurableFile(tmp_path / "ledger.sqlite3")
    with file.transaction() as connection:
        for table in LEDGER_TABLES:
            connection.execute(table)
        Ledger.begin_chain(connection, bytes(8))
    yield file
    file.close()


def test_a_day_covers_what_it_covers(file: DurableFile) -> None:
    ledger = Ledger(file, BUDGET)
    for _ in range(3):
        assert ledger.can_reserve(NOON)
        ledger.reserve(NOON)
    assert not ledger.can_reserve(NOON)
    with pytest.raises(BudgetSpentError, match="3 of 3 epsilon are spent today"):
        ledger.reserve(NOON)
    assert ledger.spent_micro(NOON) == 3_000_000
    assert ledger.reserve(NOON + DAY_S).day == 20_001


def test_another_process_with_the_file_sees_what_was_spent(file: DurableFile) -> None:
    Ledger(file, BUDGET).reserve(NOON)
    again = DurableFile(file.path)
    assert Ledger(again, BUDGET).spent_micro(NOON) == 1_000_000
    again.close()


@pytest.mark.parametrize("back_s", [1, DAY_S, 3650 * DAY_S])
def test_a_clock_that_goes_back_stays_in_the_later_day(file: DurableFile, back_s: int) -> None:
    ledger = Ledger(file, BUDGET)
    for _ in range(3):
        ledger.reserve(NOON)
    with pytest.raises(BudgetSpentError):
        ledger.reserve(NOON - back_s)
    assert ledger.day_of(NOON - back_s) == 20_000


def test_days_are_listed_with_what_was_burnt(file: DurableFile) -> None:
    ledger = Ledger(file, BUDGET)
    kept = ledger.reserve(NOON)
    ledger.reserve(NOON)
    with file.transaction() as connection:
        Ledger.settle(connection, kept, 7)
    ledger.reserve(NOON + DAY_S)
    assert read_days(file.path) == [
        DaySpent(day=20_000, spent_micro=2_000_000, budget_micro=3_000_000, releases=2, burnt=1, rho_micro=1_000_000),
        DaySpent(day=20_001, spent_micro=1_000_000, budget_micro=3_000_000, releases=1, burnt=1, rho_micro=500_000),
    ]


def test_a_reservation_is_good_for_one_release(file: DurableFile) -> None:
    reservation = Ledger(file, BUDGET).reserve(NOON)
    reservation.use()
    with pytest.raises(UsageError):
        reservation.use()


def test_a_transaction_that_fails_charges_nothing(file: DurableFile) -> None:
    ledger = Ledger(file, BUDGET)
    with contextlib.suppress(RuntimeError), file.transaction() as connection:
        ledger.burn_day(connection, NOON // DAY_S, NOON)
        raise RuntimeError
    assert ledger.spent_micro(NOON) == 0


def test_the_chain_finds_a_changed_entry_and_tells_copies_apart(file: DurableFile) -> None:
    ledger = Ledger(file, BUDGET)
    for day in range(5):
        ledger.reserve(NOON + day * DAY_S)
    head = ledger.head()
    assert head.entries == 5
    assert ledger.is_sound()
    assert ledger.has(head)
    ledger.reserve(NOON + 5 * DAY_S)
    assert ledger.has(head)
    assert not ledger.has(Head(entries=5, hash=ledger.head().hash)), "a copy that went on by itself"
    assert not ledger.has(Head(entries=7, hash=head.hash)), "a head that this ledger has not reached"
    for change in ("epsilon_micro = 1", "day = day - 1", "time = 0", "id = id + 10"):
        with contextlib.suppress(RuntimeError), file.transaction() as connection:
            connection.execute(f"UPDATE ledger SET {change} WHERE id = 3")  # noqa: S608
            assert not ledger.is_sound()
            raise RuntimeError
    assert ledger.is_sound()


def test_a_day_ahead_pays_for_a_last_window(file: DurableFile) -> None:
    ledger = Ledger(file, BUDGET)
    days = [ledger.reserve(NOON, ahead=True).day for _ in range(7)]
    assert days == [20_000] * 3 + [20_001] * 3 + [20_002]
    assert ledger.day_of(NOON) == 20_000, "what is charged ahead does not move the day"
    with pytest.raises(BudgetSpentError):
        ledger.reserve(NOON + DAY_S)


def test_old_entries_become_totals_and_the_chain_stays_sound(file: DurableFile) -> None:
    ledger = Ledger(file, BUDGET)
    for day in range(256):
        ledger.reserve(NOON + day * DAY_S)
    assert ledger.is_sound()
    assert file.read("SELECT count(*) FROM ledger")[0][0] < 40
    assert ledger.head().entries == 256
    assert [day.day for day in read_days(file.path)] == list(range(20_000, 20_256))


def test_a_new_chain_remembers_what_the_day_has_spent(file: DurableFile) -> None:
    ledger = Ledger(file, BUDGET)
    for _ in range(3):
        ledger.reserve(NOON)
    with file.transaction() as connection:
        Ledger.begin_chain(connection, b"anotherE")
    assert not ledger.can_reserve(NOON)
