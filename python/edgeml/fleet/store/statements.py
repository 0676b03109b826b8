# SPDX-License-Identifier: Apache-2.0
"""Statements that several tables need: insert what is new, count up; and text that any database takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

Rows = Sequence[Mapping[str, Any]]


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


def count_up(connection: sa.Connection, table: sa.Table, name: str, by: int) -> None:
    """Add to a row of the counter table."""
    if by:
        insert_new(connection, table, [{"name": name, "value": 0}])
        connection.execute(sa.update(table).where(table.c.name == name).values(value=table.c.value + by))


def storable(text: str) -> str:
    """Text from outside as any database takes it: no NUL, no half characters."""
    return text.encode("utf-8", "replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")
