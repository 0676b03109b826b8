# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex, CreateTable

from edgeml.errors import FleetError
from edgeml.fleet.store import tables as t
from edgeml.fleet.store.engine import open_store, reading, writing


def test_migrations_lead_to_the_tables(tmp_path: Path) -> None:
    engine = open_store(f"sqlite:///{tmp_path / 'fleet.db'}")
    with reading(engine) as connection:
        assert compare_metadata(MigrationContext.configure(connection), t.metadata) == []
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2


def test_opening_again_keeps_what_is_there(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'fleet.db'}"
    with writing(open_store(url)) as connection:
        connection.execute(sa.insert(t.counter), {"name": "x", "value": 7})
    with reading(open_store(url, create=False)) as connection:
        assert connection.execute(sa.select(t.counter.c.value)).scalar() == 7


def test_two_processes_may_create_it_at_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'fleet.db'}"
    code = f"from edgeml.fleet.store.engine import open_store; open_store({url!r})"
    processes = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(3)]
    assert [process.wait(60) for process in processes] == [0, 0, 0]


def test_postgresql_would_take_tables_and_indices() -> None:
    dialect = postgresql.dialect()
    for table in t.metadata.sorted_tables:
        assert "CREATE TABLE" in str(CreateTable(table).compile(dialect=dialect))
        for index in table.indexes:
            assert "= 0" not in str(CreateIndex(index).compile(dialect=dialect)) or index.name == "window_waiting"


@pytest.mark.parametrize("url", ["fleet.db", "sqlite://", "sqlite:///:memory:", "mysql://x/y", "sqlite:///a\0b"])
def test_url_that_is_no_file_of_sqlite(url: str) -> None:
    with pytest.raises((FleetError, ValueError), match=r"sqlite|null"):
        open_store(url)


def test_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "fleet.db").write_bytes(b"not a database" * 100)
    with pytest.raises(FleetError, match="cannot open the store"):
        open_store(f"sqlite:///{tmp_path / 'fleet.db'}")


def test_folder_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(FleetError, match="cannot open the store"):
        open_store(f"sqlite:///{tmp_path / 'no' / 'fleet.db'}")


def test_store_that_should_exist(tmp_path: Path) -> None:
    with pytest.raises(FleetError, match="there is no store at"):
        open_store(f"sqlite:///{tmp_path / 'fleet.db'}", create=False)
    assert list(tmp_path.iterdir()) == []


def test_store_of_a_newer_edgeml(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'fleet.db'}"
    with writing(open_store(url)) as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(FleetError, match="newer edgeml"):
        open_store(url)
