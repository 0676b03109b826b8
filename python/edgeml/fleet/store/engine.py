# SPDX-License-Identifier: Apache-2.0
"""Opens the store by URL, brings its tables up to date, and gives transactions that read or write."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.util.exc import CommandError
from sqlalchemy.exc import ArgumentError, DatabaseError

from edgeml.errors import FleetError

BUSY_TIMEOUT_S: Final = 30  # how long a transaction waits for another process that writes
MIGRATIONS: Final = Path(__file__).parent / "migrations"
WRITES: Final = "edgeml_writes"


def open_store(url: str, *, create: bool = True) -> sa.Engine:
    """Open the store at `sqlite:///path` and migrate it to the newest tables.

    Raises:
        FleetError: not such a URL, no such file and `create` is false, or not a store.
    """
    try:
        parsed = sa.make_url(url)
    except ArgumentError as error:
        raise FleetError(f"store url {url!r} is not a URL; write sqlite:///fleet.db") from error
    if parsed.get_backend_name() != "sqlite" or not parsed.database or parsed.database == ":memory:":
        raise FleetError(f"store url {url!r}: only SQLite files are supported; write sqlite:///fleet.db")
    path = Path(parsed.database)
    if not create and not path.exists():
        raise FleetError(f"there is no store at {path}; start edgeml fleet serve, or name its --config")
    engine = sa.create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_S, "isolation_level": None})
    sa.event.listen(engine, "connect", _set_pragmas)
    sa.event.listen(engine, "begin", _begin)
    try:
        with writing(engine) as connection:
            _migrate(connection)
    except DatabaseError as error:
        engine.dispose()
        raise FleetError(f"cannot open the store {path}: {error.orig}; is the folder there and writable?") from error
    except CommandError as error:
        engine.dispose()
        raise FleetError(f"the store {path} was made by a newer edgeml ({error}); update edgeml") from error
    return engine


@contextmanager
def writing(engine: sa.Engine) -> Iterator[sa.Connection]:
    """One transaction that may write; committed at the end, rolled back by an exception."""
    with engine.execution_options(**{WRITES: True}).begin() as connection:
        yield connection


@contextmanager
def reading(engine: sa.Engine) -> Iterator[sa.Connection]:
    """One transaction that only reads: everything in it sees the same moment."""
    with engine.begin() as connection:
        yield connection


def _set_pragmas(dbapi_connection: Any, _record: Any) -> None:
    cursor = dbapi_connection.cursor()
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = FULL")  # a device deletes what was committed: a power cut must not undo it
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def _begin(connection: sa.Connection) -> None:
    # Taking the write lock at once: a transaction that reads first and then writes could not wait for another writer.
    writes = connection.get_execution_options().get(WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _migrate(connection: sa.Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
