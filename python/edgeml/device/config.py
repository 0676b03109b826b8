# SPDX-License-Identifier: Apache-2.0
"""device.toml: what a device runs, what it may say, and to whom. Every key is checked; docs/howto/device.toml shows all."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from edgeml.errors import UsageError
from edgeml.privacy import PrivacyBudget
from edgeml.telemetry.broker_address import TlsFiles

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from edgeml.device.update.updating_monitor import UpdateSource

EXAMPLE: Final = "docs/howto/device.toml has an example"

# Table -> key -> type of its value; "" is the top of the file. The second set of keys must be there.
_TYPES: Final[dict[str, dict[str, type]]] = {
    "": {
        "model": str,
        "state": str,
        "device": str,
        "tenant": str,
        "broker": str,
        "key": str,
        "window_s": float,
        "threads": int,
        "isa": str,
    },
    "tls": {"ca": str, "certificate": str, "key": str},
    "budget": {"epsilon": str, "per_release": str},
    "update": {"url": str, "root": str, "token_file": str},
    "input": {"npz": str, "source": str, "period_s": float},
}
_NEEDED: Final = {
    "": {"model", "state", "device"},
    "tls": set[str](),
    "budget": set[str](),
    "update": set[str](),
    "input": set[str](),
}
_TYPE_NAMES: Final = {str: "text", int: "a whole number", float: "a number"}


@dataclass(frozen=True, kw_only=True)
class InputConfig:
    """Where feeds come from: a folder of .npz files, or `module:function`; `period_s` between two inferences.

    Raises:
        UsageError: neither or both of `npz` and `source`, or a negative period.
    """

    npz: Path | None = None
    source: str | None = None
    period_s: float = 0.0

    def __post_init__(self) -> None:
        if (self.npz is None) == (self.source is None):
            raise UsageError("[input] needs npz = a folder, or source = 'module:function', and not both")
        if not 0 <= self.period_s <= 86_400:
            raise UsageError(f"[input] period_s {self.period_s} must be 0 to 86400")


@dataclass(frozen=True, kw_only=True)
class UpdateConfig:
    """Where models come from: address of the update repository, its first root, and the token of the devices.

    Raises:
        UsageError: `url` or `root` is missing.
    """

    url: str = ""
    root: Path | None = None
    token_file: Path | None = None

    def __post_init__(self) -> None:
        if not self.url or self.root is None:
            raise UsageError("[update] needs url and root, the file updates/metadata/1.root.json of the fleet")

    def source(self) -> UpdateSource:
        """The same with the files read.

        Raises:
            UsageError: a file cannot be read.
        """
        from edgeml.device.update.updating_monitor import UpdateSource  # noqa: PLC0415 - TUF, for those who update

        try:
            root = self.root.read_bytes() if self.root else b""
            token = self.token_file.read_text(encoding="utf-8").strip() if self.token_file else ""
        except OSError as error:
            raise UsageError(f"[update]: cannot read {error.filename}: {error.strerror}") from error
        return UpdateSource(url=self.url, root=root, token=token)


@dataclass(frozen=True, kw_only=True)
class DeviceConfig:
    """What device.toml says. Relative paths are relative to its folder."""

    model: Path
    state: Path
    device: str
    tenant: str
    broker: str
    key: Path | None
    tls: TlsFiles | None
    window_s: float
    threads: int | None
    isa: str | None
    budget: PrivacyBudget
    input: InputConfig
    update: UpdateConfig | None


def load_config(path: Path) -> DeviceConfig:
    """Read device.toml.

    Raises:
        UsageError: it cannot be read, is no TOML, has an unknown key, lacks one, or a value is out of range.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}; {EXAMPLE}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not TOML: {error}; {EXAMPLE}") from error
    try:
        return _config_of(document, path.resolve().parent)
    except UsageError as error:
        raise UsageError(f"{path}: {error}; {EXAMPLE}") from error


def _config_of(document: dict[str, Any], folder: Path) -> DeviceConfig:
    top = {key: value for key, value in document.items() if key not in _TYPES}
    top = _checked("", top)
    tables = {table: _checked(table, document.get(table, {})) for table in ("tls", "budget", "input", "update")}
    where = tables["input"]
    update = {key: value if key == "url" else folder / value for key, value in tables["update"].items()}
    return DeviceConfig(
        model=folder / top["model"],
        state=folder / top["state"],
        device=top["device"],
        tenant=top.get("tenant", "default"),
        broker=top.get("broker", "mqtt://127.0.0.1:1883"),
        key=folder / top["key"] if "key" in top else None,
        tls=TlsFiles(**{name: folder / file for name, file in tables["tls"].items()}) if tables["tls"] else None,
        window_s=top.get("window_s", 300.0),
        threads=top.get("threads"),
        isa=top.get("isa"),
        budget=PrivacyBudget(**tables["budget"]),
        update=UpdateConfig(**update) if "update" in document else None,
        input=InputConfig(**{**where, "npz": folder / where["npz"] if "npz" in where else None}),
    )


def _checked(table: str, values: Any) -> dict[str, Any]:
    name = f"[{table}]" if table else "the top"
    if not isinstance(values, dict):
        raise UsageError(f"{table} must be a table")
    if unknown := values.keys() - _TYPES[table].keys():
        raise UsageError(f"unknown key {min(unknown)!r} in {name}")
    if missing := _NEEDED[table] - values.keys():
        raise UsageError(f"key {min(missing)!r} is missing in {name}")
    result: dict[str, Any] = {}
    for key, value in values.items():
        wanted = _TYPES[table][key]
        if wanted is float and type(value) is int:
            result[key] = float(value)
        elif type(value) is wanted:
            result[key] = value
        else:
            raise UsageError(f"{key} in {name} must be {_TYPE_NAMES[wanted]}")
    return result
