# SPDX-License-Identifier: Apache-2.0
"""A real PostgreSQL server of its own on a free port of 127.0.0.1, ended by its process id; a database for each test."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from support.mosquitto import free_port
from support.needs import need_program

START_TIMEOUT_S = 60


class PostgreSQL:
    """A running server; `new_database` gives the URL of an empty database."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._made = 0

    def new_database(self) -> str:
        self._made += 1
        name = f"fleet_{self._made}"
        self.execute("postgres", f"CREATE DATABASE {name}")
        return f"postgresql://edgeml@127.0.0.1:{self.port}/{name}"

    def execute(self, database: str, statement: str) -> None:
        import psycopg

        with psycopg.connect(f"host=127.0.0.1 port={self.port} user=edgeml dbname={database}", autocommit=True) as c:
            c.execute(statement.encode())


@contextmanager
def postgresql(*settings: str) -> Iterator[PostgreSQL]:
    """Run a server until the end of the block; skips the test where it is not installed."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name))
    bin_folder = programs[-1] if programs else Path(need_program("initdb")).parent
    folder = Path(tempfile.mkdtemp(prefix="edgeml-postgresql-"))
    owner = _owner()
    if owner:
        shutil.chown(folder, **owner)
    port = free_port()
    data = folder / "data"
    # Durability is of no use to a test, except where it says otherwise.
    options = [f"-c{setting}" for setting in ("listen_addresses=127.0.0.1", f"port={port}", "fsync=off", *settings)]
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": folder}
    quiet |= {"user": owner["user"], "group": owner["group"], "extra_groups": []} if owner else {}
    try:
        arguments = ["-D", data, "-U", "edgeml", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
        subprocess.run([bin_folder / "initdb", *arguments], check=True, **quiet)
        server = subprocess.Popen([bin_folder / "postgres", "-D", data, "-k", folder, *options], **quiet)
        try:
            running = PostgreSQL(port)
            _wait(server, running)
            yield running
        finally:
            server.send_signal(signal.SIGINT)  # fast shutdown
            server.wait(30)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _owner() -> dict[str, Any]:
    """PostgreSQL refuses to run as root: its own user then, or nobody."""
    if os.geteuid() != 0:
        return {}
    names = {entry.pw_name: entry for entry in pwd.getpwall()}
    entry = names.get("postgres") or names["nobody"]
    return {"user": entry.pw_uid, "group": entry.pw_gid}


def _wait(server: subprocess.Popen[bytes], running: PostgreSQL) -> None:
    import psycopg

    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            running.execute("postgres", "SELECT 1")
            return
        except psycopg.OperationalError:  # noqa: PERF203  it is not up yet
            if server.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.05)
