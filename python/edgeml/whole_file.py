# SPDX-License-Identifier: Apache-2.0
"""Files that are written whole or not at all: a reader never meets half of one, and a failure leaves nothing behind."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from pathlib import Path


def write_whole_file(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a temporary file in the same folder, fsync it and rename it onto the path.

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
        umask = os.umask(0)
        os.umask(umask)
        Path(temporary).chmod(0o666 & ~umask)
        Path(temporary).replace(target)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(temporary).unlink()
        raise
