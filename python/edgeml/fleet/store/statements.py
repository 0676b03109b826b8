# SPDX-License-Identifier: Apache-2.0
"""Statements that several tables need: insert what is new, insert many, count up; and text that any database takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

Rows = Sequence[Mapping[str, Any]]
COPY_TYPES: Final = {
    sa.BigInteger: "int8",
    sa.Integer: "int4",
    sa.SmallInteger: "int2",
    sa.LargeBinary: "bytea",
    sa.Text: "text",
    sa.Boolean: "bool",
    sa.Double: "float8",
}


def insert_new(connection: sa.Connection, table: sa.Table, rows: Rows, *returning: sa.Column[Any]) -> list[sa.Row[Any]]:
    """INSERT ... ON CONFLICT DO NOTHING; gives the `returning` columns of those rows that were not there."""
    if not rows:
        return []
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    statement = insert(table).on_conflict_do_nothing()
    if not returning:
        connection.execute(statement, rows)
        return []
    return list(connection.execute(statement.returning(*returning), rows).all())


def insert_many(connection: sa.Connection, columns: Sequence[sa.Column[Any]], rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert rows that are known to be new, by position: COPY where the database has it, else one prepared INSERT."""
    if not rows:
        return
    table = columns[0].table
    quote = connection.dialect.identifier_preparer.quote
    target = f"{quote(table.name)} ({', '.join(quote(column.name) for column in columns)})"
    if connection.dialect.name == "postgresql":
        cursor: Any = connection.connection.cursor()
        with cursor, cursor.copy(f"COPY {target} FROM STDIN (FORMAT BINARY)") as copy:
            copy.set_types([COPY_TYPES[type(column.type)] for column in columns])
            for row in rows:
                copy.write_row(row)
    else:
        marks = ", ".join("?" * len(columns))
        connection.exec_driver_sql(f"INSERT INTO {target} VALUES ({marks})", list(rows))  # noqa: S608  our own names


def count_up(connection: sa.Connection, table: sa.Table, name: str, by: int) -> None:
    """Add to a row of the counter table."""
    if by:
        insert_new(connection, table, [{"name": name, "value": 0}])
        connection.execute(sa.update(table).where(table.c.name == name).values(value=table.c.value + by))


def storable(text: str) -> str:
    """Text from outside as any database takes it: no NUL, no half characters."""
    return text.encode("utf-8", "replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")
