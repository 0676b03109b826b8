# SPDX-License-Identifier: Apache-2.0
"""Arrays from and to `.npz` files, with the naming rule that every verb shares."""

from __future__ import annotations

import contextlib
import os
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeml.errors import InputError, UsageError

Array = npt.NDArray[Any]


def read_npz(path: str | os.PathLike[str]) -> dict[str, Array]:
    """All arrays of an `.npz` file. Raises InputError where it cannot be read, is none, or holds Python objects."""
    try:
        archive = np.load(path, allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise InputError(f"{os.fspath(path)} is a single array, expected an .npz file: write it with numpy.savez")
        with archive:
            return {name: archive[name] for name in archive.files}
    except OSError as error:
        raise InputError(f"cannot read {os.fspath(path)}: {error.strerror or error}") from error
    except (ValueError, zipfile.BadZipFile, EOFError, zipfile.LargeZipFile) as error:
        raise InputError(
            f"{os.fspath(path)} is not a readable .npz file: {error}; write it with numpy.savez"
        ) from error


def select_inputs(arrays: Mapping[str, Array], inputs: Sequence[str], path: str | os.PathLike[str]) -> dict[str, Array]:
    """The arrays that feed a model: one per input, by its name; or `x` for a model with one input.

    Raises:
        InputError: an input has no array.
    """
    if len(inputs) == 1 and inputs[0] not in arrays and "x" in arrays:
        return {inputs[0]: arrays["x"]}
    missing = [name for name in inputs if name not in arrays]
    if missing:
        rule = f"named {missing[0]!r} or 'x'" if len(inputs) == 1 else f"named {missing[0]!r}"
        raise InputError(f"{os.fspath(path)} has no array {rule}; it has {', '.join(arrays) or 'none'}")
    return {name: arrays[name] for name in inputs}


def write_npz(path: str | os.PathLike[str], arrays: Mapping[str, Array]) -> None:
    """Write arrays whole or not at all; the same arrays give the same bytes.

    Raises:
        UsageError: the file cannot be written; nothing is left behind.
    """
    target = Path(path)
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".npz", dir=target.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                np.savez(file, allow_pickle=False, **arrays)  # numpy dates every member 1980-01-01
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).replace(target)
        except BaseException:
            with contextlib.suppress(OSError):
                Path(temporary).unlink()
            raise
    except OSError as error:
        raise UsageError(
            f"cannot write {target}: {error.strerror}; free space or choose another place with -o"
        ) from error
