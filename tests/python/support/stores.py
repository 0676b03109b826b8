# SPDX-License-Identifier: Apache-2.0
"""Empty stores for tests that must hold on every database: an SQLite file, or a database of a PostgreSQL server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from support.postgresql import PostgreSQL

NewStore = Callable[[], str]  # the URL of an empty store

KINDS = ("sqlite", "postgresql")


def new_store_of(kind: str, folder: Path, server: PostgreSQL | None) -> NewStore:
    """Make URLs of empty stores of a kind."""
    if server is not None:
        return server.new_database
    made = iter(range(1_000_000))
    return lambda: f"sqlite:///{folder / f'{kind}-{next(made)}.db'}"
