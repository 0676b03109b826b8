# SPDX-License-Identifier: Apache-2.0
"""One SQLite file that survives a power cut: WAL, synchronous=FULL; one connection, shared by threads under a lock."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

BUSY_TIMEOUT_S: Final = 5.0
PAGE_BYTES: Final = 1024  # a transaction writes whole pages to the log: small ones spare the flash
CACHE_KIB: Final = 256
WAL_PAGES_MAX: Final = 128  # before the log is folded back: keeps it small on flash


class DurableFile:
    """An open file. Errors of the database come as sqlite3.Error."""

    def __init__(self, path: Path) -> None:
        """Open or create `path`."""
        self.path = path
        self._lock = threading.RLock()
        self._connection = self._connect()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False, cached_statements=32
        )
        try:
            for pragma in (
                f"page_size={PAGE_BYTES}",
                "journal_mode=WAL",
                "synchronous=FULL",
                f"cache_size=-{CACHE_KIB}",
                f"wal_autocheckpoint={WAL_PAGES_MAX}",
                "trusted_schema=OFF",
            ):
                connection.execute(f"PRAGMA {pragma}").fetchall()
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    def reopen(self, meanwhile: Callable[[], None]) -> None:
        """Close the file, do something with it, and open the path again, while nobody else reads or writes."""
        with self._lock:
            self._connection.close()
            meanwhile()
            self._connection = self._connect()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Everything inside is written at the end, durably, or not at all."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def read(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """All rows of one SELECT."""
        with self._lock:
            return self._connection.execute(statement, values).fetchall()

    def on_statement(self, callback: Any) -> None:
        """Call `callback(sql)` before each statement: fault injection hooks in here."""
        self._connection.set_trace_callback(callback)

    def used_bytes(self) -> int:
        """Bytes of the pages that hold something; inside a transaction, as it would leave them."""
        with self._lock:
            pages, free, size = (
                self._connection.execute(f"PRAGMA {what}").fetchone()[0]
                for what in ("page_count", "freelist_count", "page_size")
            )
        return int((pages - free) * size)

    def close(self) -> None:
        """Fold the log back and close."""
        with self._lock:
            self._connection.close()
