# SPDX-License-Identifier: Apache-2.0
"""Files that are written whole or not at all: a reader never meets half of one, and a failure leaves nothing behind."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from pathlib import Path


def write_whole_file(path: str | os.PathLike[str], data: bytes, *, is_private: bool = False) -> None:
    """Write a temporary file in the same folder, fsync it, rename it onto the path and fsync the folder.

    `is_private`: only the owner can read it, also while it is written.

    Raises:
        OSError: the disk is full, the folder is missing or not writable, or the path is no regular file (renaming onto a
            device would put a file in its place).
    """
    target = Path(path)
    if target.exists() and not target.is_file():
        raise OSError(errno.EINVAL, "it is not a regular file")
    handle, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if not is_private:  # as mkstemp makes it
            umask = os.umask(0)
            os.umask(umask)
            Path(temporary).chmod(0o666 & ~umask)
        Path(temporary).replace(target)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(temporary).unlink()
        raise
    folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)  # a power cut must not take the new name back
    finally:
        os.close(folder)
