# SPDX-License-Identifier: Apache-2.0
"""The state directory of a device: its lock, and the database file that is moved aside when it is damaged."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import sqlite3
from typing import TYPE_CHECKING, Final

from edgeml.errors import DeviceError
from edgeml.privacy.durable_file import DurableFile

if TYPE_CHECKING:
    from pathlib import Path

SPOOL_FILE: Final = "spool.sqlite3"
LOCK_FILE: Final = "lock"
KEY_FILE: Final = "device.key"  # where no other is named

_log = logging.getLogger(__name__)


def lock_directory(directory: Path) -> int:
    """Make the directory and take its lock, which the kernel frees when the process ends, however it ends.

    Raises:
        DeviceError: it cannot be written, or another process has it.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(directory / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise DeviceError(f"state directory {directory}: {error.strerror}; choose one that can be written") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise DeviceError(
            f"state directory {directory} is in use by another process; each device needs its own"
        ) from error
    return descriptor


def is_in_use(directory: Path) -> bool:
    """Whether a process has the lock of the directory."""
    try:
        descriptor = os.open(directory / LOCK_FILE, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def open_sound_file(path: Path, now: float) -> tuple[DurableFile, str]:
    """Open a sound database; a damaged one is moved aside with its log. Gives it and the damage, "" if there was none."""
    existed = path.exists()
    try:
        file = DurableFile(path)
        try:
            if file.read("PRAGMA quick_check(1)") == [("ok",)]:
                is_empty = not file.read("SELECT name FROM sqlite_schema WHERE name = 'spool'")
                # A power cut between the renaming of a damaged file and the first transaction of its successor.
                is_successor = any(path.parent.glob(f"{path.name}.damaged-*"))
                return file, "the file was empty" if is_empty and (existed or is_successor) else ""
        except sqlite3.Error:
            file.close()
            raise
        file.close()
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError):  # not damage: disk full, no permission, locked
            raise
    return set_aside(path, now)


def set_aside(path: Path, now: float) -> tuple[DurableFile, str]:
    """Rename a damaged database and its log, and open a new one in its place; gives it and what was done."""
    damage = move_aside(path, now)
    return DurableFile(path), damage


def move_aside(path: Path, now: float) -> str:
    """Rename a damaged database and its log; gives what was done."""
    aside = _free_name(path, now)
    _log.warning("%s is damaged; it is kept as %s", path, aside.name)
    path.rename(aside)
    for suffix in ("-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(aside.with_name(aside.name + suffix))
    return f"damaged file kept as {aside.name}"


def _free_name(path: Path, now: float) -> Path:
    stamp = f"{path.name}.damaged-{int(now)}"
    names = (path.with_name(stamp if number == 0 else f"{stamp}-{number}") for number in range(1000))
    return next(name for name in names if not name.exists())
