# SPDX-License-Identifier: Apache-2.0
"""The rates that a device's choice between sparse and dense layers rests on: measured by `edgeml tune`, kept in a file.

They move time, never a bit of a result. A session takes the file that it is given, else that of the environment variable
EDGEML_RATES, else the one at `default_path()` if it is there, else the rates that come with edgeml for the ISA level.
"""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any, Final, NamedTuple

from edgeml import _core
from edgeml.errors import UsageError
from edgeml.whole_file import write_whole_file

VARIABLE: Final = "EDGEML_RATES"
FORMAT: Final = 1
FILE_BYTES_MAX: Final = 1 << 20


class LayerRates(NamedTuple):
    """Multiply-accumulates per unit of time, and time per output (cpp/include/edgeml/layer_rates.h)."""

    lanes: float
    dense: float
    sparse_1x4: float
    sparse_2x4: float
    sparse_4x4: float
    dense_output: float
    sparse_output: float


def default_path() -> Path:
    """XDG_CONFIG_HOME/edgeml/rates.json, in ~/.config where that is not set.

    Raises:
        UsageError: the process has no home folder either.
    """
    base = os.environ.get("XDG_CONFIG_HOME")
    try:
        return (Path(base) if base else Path.home() / ".config") / "edgeml" / "rates.json"
    except RuntimeError as error:
        raise UsageError(f"there is no home folder for the rates; name a file with -o or {VARIABLE}") from error


def measure(isa: str) -> LayerRates:
    """Rates of this machine's kernels of a level, in nanoseconds; takes about a second.

    Raises:
        IsaError: this machine does not run the level.
    """
    return LayerRates(*_core.measure_layer_rates(isa))


def save(path: str | os.PathLike[str], rates: dict[str, LayerRates]) -> None:
    """Write the rates of ISA levels, whole or not at all; levels that the file has and `rates` has not are kept.

    Raises:
        UsageError: the file cannot be written, or what stands there is no file of rates.
    """
    path = Path(path)
    levels = {**_read(path), **rates} if path.exists() else rates
    document = {"format": FORMAT, "levels": {isa: row._asdict() for isa, row in sorted(levels.items())}}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole_file(path, (json.dumps(document, indent=1) + "\n").encode())
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}; choose another place with -o") from error


def load(path: str | os.PathLike[str] | None = None) -> dict[str, LayerRates]:
    """Rates by ISA level: of the file, of EDGEML_RATES, or of the default place; empty where there is none.

    Raises:
        UsageError: a file that is named cannot be read, or one that is there holds no rates.
    """
    named = path if path is not None else os.environ.get(VARIABLE)
    if named:
        return _read(Path(named))
    try:
        default = default_path()
    except UsageError:  # a process without a home folder
        return {}
    return _read(default) if default.is_file() else {}


def _read(path: Path) -> dict[str, LayerRates]:
    try:
        with path.open("rb") as file:
            data = file.read(FILE_BYTES_MAX)
    except OSError as error:
        raise UsageError(f"cannot read the rates {path}: {error.strerror}; write them with edgeml tune") from error
    try:
        return _levels(json.loads(data))
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
        raise UsageError(f"{path} holds no rates of edgeml ({error}); delete it, then run edgeml tune again") from error


def _levels(document: dict[str, Any]) -> dict[str, LayerRates]:
    if document["format"] != FORMAT:
        raise ValueError(f"format {document['format']!r} is not {FORMAT}")
    levels = {
        isa: LayerRates(**{name: float(value) for name, value in row.items()})
        for isa, row in document["levels"].items()
    }
    for isa, row in levels.items():
        for name, value in row._asdict().items():
            least = 0 if name.endswith("output") else math.ulp(0.0)
            if not (math.isfinite(value) and value >= least):
                raise ValueError(f"{isa}: {name} is {value}")
    return levels
