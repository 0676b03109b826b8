# SPDX-License-Identifier: Apache-2.0
"""Where a device's inputs come from: .npz files in a loop, or a function of the user's that yields feeds."""

from __future__ import annotations

import importlib
import itertools
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeml.errors import InputError, UsageError
from edgeml.npz import read_npz, select_inputs

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from edgeml.session import TensorSpec

Feed = dict[str, "NDArray[Any]"]


def npz_feeds(folder: Path, inputs: Sequence[TensorSpec]) -> Iterator[Feed]:
    """Feeds without end: the samples of each file in name order, then again from the first file.

    A file holds one array for each graph input, by its name; for a model with one input the array may be called `x`.
    A feed takes as many samples as the batch of the model, one where the batch is free; a rest that does not fill a
    batch is left out.

    Raises:
        UsageError: no .npz file in the folder.
        InputError: a file that cannot be read, or lacks an input.
    """
    paths = sorted(folder.glob("*.npz"))
    if not paths:
        raise UsageError(f"{folder} has no .npz files; [input] npz must name a folder with some")
    return _samples_of(paths, inputs)


def _samples_of(paths: Sequence[Path], inputs: Sequence[TensorSpec]) -> Iterator[Feed]:
    for path in itertools.cycle(paths):
        arrays = _read(path, inputs)
        batch = next((spec.shape[0] for spec in inputs if isinstance(spec.shape[0], int)), 1)
        samples = min(len(array) for array in arrays.values())
        if samples < batch:
            raise InputError(f"{path} has {samples} samples, the model takes {batch} at a time")
        for start in range(0, samples - batch + 1, batch):
            yield {name: array[start : start + batch] for name, array in arrays.items()}


def _read(path: Path, inputs: Sequence[TensorSpec]) -> Feed:
    arrays = select_inputs(read_npz(path), [spec.name for spec in inputs], path)
    if scalars := [name for name, array in arrays.items() if array.ndim == 0]:
        raise InputError(f"{path}: array {scalars[0]!r} has no batch axis")
    return arrays


def function_feeds(source: str, folder: Path) -> Iterator[Mapping[str, NDArray[Any]]]:
    """Call `module:function` without arguments; it yields feeds: dicts of input name -> array with batch axis.

    The module is looked for where Python looks, and in `folder`.

    Raises:
        UsageError: not of that form, or no such module or function.
    """
    module_name, colon, function_name = source.partition(":")
    if not colon or not module_name or not function_name.isidentifier():
        raise UsageError(f"[input] source {source!r} must be 'module:function'")
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise UsageError(f"[input] source {source!r}: {error}") from error
    function = getattr(module, function_name, None)
    if not callable(function):
        raise UsageError(f"[input] source {source!r}: {module.__file__} has no function {function_name!r}")
    return iter(function())
