# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from edgeml.errors import FleetError
from edgeml.fleet.store import tables as t
from edgeml.fleet.store.engine import open_store, reading, writing
from support.stores import NewStore


def test_migrations_lead_to_the_tables(new_store: NewStore) -> None:
    with reading(open_store(new_store())) as connection:
        assert compare_metadata(MigrationContext.configure(connection), t.metadata) == []


def test_a_commit_to_a_file_survives_a_power_cut(tmp_path: Path) -> None:
    with reading(open_store(f"sqlite:///{tmp_path / 'fleet.db'}")) as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2


def test_opening_again_keeps_what_is_there(new_store: NewStore) -> None:
    url = new_store()
    with writing(open_store(url)) as connection:
        connection.execute(sa.insert(t.counter), {"name": "x", "value": 7})
    with reading(open_store(url, create=False)) as connection:
        assert connection.execute(sa.select(t.counter.c.value)).scalar() == 7


def test_three_processes_may_create_it_at_once(new_store: NewStore) -> None:
    url = new_store()
    code = f"from edgeml.fleet.store.engine import open_store; open_store({url!r})"
    processes = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(3)]
    assert [process.wait(60) for process in processes] == [0, 0, 0]


def test_a_reader_sees_one_moment(new_store: NewStore) -> None:
    engine = open_store(new_store())
    count = sa.select(sa.func.count()).select_from(t.counter)
    with reading(engine) as connection:
        assert connection.execute(count).scalar() == 0
        with writing(engine) as other:
            other.execute(sa.insert(t.counter), {"name": "x", "value": 7})
        assert connection.execute(count).scalar() == 0
    with reading(engine) as connection:
        assert connection.execute(count).scalar() == 1


def test_password_is_not_shown() -> None:
    with pytest.raises(FleetError, match="cannot open the store") as caught:
        open_store("postgresql://someone:secret-7@127.0.0.1:1/fleet")
    assert "secret-7" not in str(caught.value)
    assert "someone" in str(caught.value)


@pytest.mark.parametrize(
    "url", ["fleet.db", "sqlite://", "sqlite:///:memory:", "mysql://x/y", "postgresql://host", "sqlite:///a\0b"]
)
def test_url_that_is_no_store(url: str) -> None:
    with pytest.raises((FleetError, ValueError), match=r"sqlite|null"):
        open_store(url)


def test_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "fleet.db").write_bytes(b"not a database" * 100)
    with pytest.raises(FleetError, match="cannot open the store"):
        open_store(f"sqlite:///{tmp_path / 'fleet.db'}")


def test_folder_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(FleetError, match="cannot open the store"):
        open_store(f"sqlite:///{tmp_path / 'no' / 'fleet.db'}")


def test_store_that_should_exist(new_store: NewStore, tmp_path: Path) -> None:
    with pytest.raises(FleetError, match="there is no store at"):
        open_store(new_store(), create=False)
    assert list(tmp_path.iterdir()) == []


def test_store_of_a_newer_edgeml(new_store: NewStore) -> None:
    url = new_store()
    with writing(open_store(url)) as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(FleetError, match="newer edgeml"):
        open_store(url)
