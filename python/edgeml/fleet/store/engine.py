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
POSTGRESQL_VERSION_MIN: Final = (15, 0)
MIGRATIONS: Final = Path(__file__).parent / "migrations"
MIGRATION_LOCK: Final = 0x6564_6765  # "edge"; one process migrates, the others wait
WRITES: Final = "edgeml_writes"
MAKE_ONE: Final = "start edgeml fleet serve, or name its --config"
URLS: Final = "write sqlite:///fleet.db or postgresql://user:password@host/database"


def open_store(url: str, *, create: bool = True) -> sa.Engine:
    """Open the store at `sqlite:///path` or `postgresql://...` and migrate it to the newest tables.

    Raises:
        FleetError: not such a URL, no such store and `create` is false, or the database cannot be opened.
    """
    try:
        parsed = sa.make_url(url)
    except ArgumentError as error:
        raise FleetError(f"store url {url!r} is not a URL; {URLS}") from error
    engine = _sqlite(parsed, create=create) if parsed.get_backend_name() == "sqlite" else _postgresql(parsed)
    name = hide_password(url)
    try:
        with writing(engine) as connection:
            if not create and not sa.inspect(connection).has_table("alembic_version"):
                raise FleetError(f"there is no store at {name}; {MAKE_ONE}")  # noqa: TRY301
            _migrate(connection)
    except DatabaseError as error:
        engine.dispose()
        where = "is the folder there and writable?" if engine.dialect.name == "sqlite" else "is the server up?"
        raise FleetError(f"cannot open the store {name}: {str(error.orig).strip()}; {where}") from error
    except CommandError as error:
        engine.dispose()
        raise FleetError(f"the store {name} was made by a newer edgeml ({error}); update edgeml") from error
    except FleetError:
        engine.dispose()
        raise
    return engine


def hide_password(url: str) -> str:
    """Give the URL of a store as it may be shown: without a password; of an SQLite file its path."""
    parsed = sa.make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return str(parsed.database)
    return parsed.render_as_string(hide_password=True)


def _sqlite(url: sa.URL, *, create: bool) -> sa.Engine:
    if not url.database or url.database == ":memory:":
        raise FleetError(f"store url {str(url)!r} names no file; {URLS}")
    if not create and not Path(url.database).exists():
        raise FleetError(f"there is no store at {url.database}; start edgeml fleet serve, or name its --config")
    engine = sa.create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_S, "isolation_level": None})
    sa.event.listen(engine, "connect", _set_pragmas)
    sa.event.listen(engine, "begin", _begin)
    return engine


def _postgresql(url: sa.URL) -> sa.Engine:
    if url.get_backend_name() != "postgresql" or not url.database:
        raise FleetError(f"store url {url.render_as_string(hide_password=True)!r} is neither; {URLS}")
    try:
        return sa.create_engine(url.set(drivername="postgresql+psycopg"), pool_pre_ping=True)
    except ModuleNotFoundError as error:
        raise FleetError("PostgreSQL needs psycopg; pip install 'edgeml[postgresql]'") from error


@contextmanager
def writing(engine: sa.Engine) -> Iterator[sa.Connection]:
    """One transaction that may write; committed at the end, rolled back by an exception.

    What it reads to write again it must lock: on PostgreSQL others write at the same time (READ COMMITTED).
    """
    with engine.execution_options(**{WRITES: True}).begin() as connection:
        yield connection


@contextmanager
def reading(engine: sa.Engine) -> Iterator[sa.Connection]:
    """One transaction that only reads: everything in it sees the same moment."""
    if engine.dialect.name == "postgresql":
        engine = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    with engine.begin() as connection:
        yield connection


def _set_pragmas(dbapi_connection: Any, _record: Any) -> None:
    cursor = dbapi_connection.cursor()
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = FULL")  # a device deletes what was committed: a power cut must not undo it
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.execute(
        "PRAGMA cache_size = -65536"
    )  # KiB; the newest windows, roll-ups and the index that says what is new
    cursor.close()


def _begin(connection: sa.Connection) -> None:
    # Taking the write lock at once: a transaction that reads first and then writes could not wait for another writer.
    writes = connection.get_execution_options().get(WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _migrate(connection: sa.Connection) -> None:
    if connection.dialect.name == "postgresql":
        version = connection.dialect.server_version_info or (0,)
        if version < POSTGRESQL_VERSION_MIN:
            raise FleetError(f"PostgreSQL {'.'.join(map(str, version))} is too old; version 15 or newer is needed")
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(MIGRATION_LOCK)))
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
