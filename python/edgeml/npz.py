# SPDX-License-Identifier: Apache-2.0
"""Arrays from and to `.npz` files, with the naming rule that every verb shares."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgeml.errors import InputError, UsageError
from edgeml.whole_file import write_whole_file

Array = npt.NDArray[Any]
ZIP_DATE: Final = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip file can hold: no time stamp


def read_npz(path: str | os.PathLike[str]) -> dict[str, Array]:
    """All arrays of an `.npz` file. Raises InputError where it cannot be read, is none, or holds Python objects."""
    try:
        archive = np.load(path, allow_pickle=False)
        arrays = None if isinstance(archive, np.ndarray) else {name: archive[name] for name in archive.files}
    except OSError as error:
        raise InputError(f"cannot read {os.fspath(path)}: {error.strerror or error}") from error
    except Exception as error:  # np.load raises what zipfile, zlib and struct raise on damaged files
        raise InputError(
            f"{os.fspath(path)} is not a readable .npz file: {error}; write it with numpy.savez"
        ) from error
    if arrays is None:
        raise InputError(f"{os.fspath(path)} is a single array, expected an .npz file: write it with numpy.savez")
    return arrays


def select_inputs(
    arrays: Mapping[str, Array], inputs: Sequence[str], source: str | os.PathLike[str] = "the data"
) -> dict[str, Array]:
    """The arrays that feed a model: one per input, by its name; or `x` for a model with one input.

    Raises:
        InputError: an input has no array.
    """
    if len(inputs) == 1 and inputs[0] not in arrays and "x" in arrays:
        return {inputs[0]: arrays["x"]}
    missing = [name for name in inputs if name not in arrays]
    if missing:
        rule = f"named {missing[0]!r} or 'x'" if len(inputs) == 1 else f"named {missing[0]!r}"
        raise InputError(f"{os.fspath(source)} has no array {rule}; it has {', '.join(arrays) or 'none'}")
    return {name: arrays[name] for name in inputs}


def write_npz(path: str | os.PathLike[str], arrays: Mapping[str, Array]) -> None:
    """Write arrays whole or not at all; the same arrays give the same bytes.

    Raises:
        UsageError: the file cannot be written; nothing is left behind.
    """
    try:
        write_whole_file(path, _to_bytes(arrays))
    except OSError as error:
        raise UsageError(
            f"cannot write {os.fspath(path)}: {error.strerror}; free space or choose another place with -o"
        ) from error


def _to_bytes(arrays: Mapping[str, Array]) -> bytes:
    """numpy.savez with bytes that depend on the arrays alone: headers that it lets zipfile write differ between Pythons."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, array, allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", ZIP_DATE), member.getbuffer())
    return file.getvalue()
