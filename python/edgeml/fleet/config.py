# SPDX-License-Identifier: Apache-2.0
"""fleet.toml: where the store, the broker and the dashboard are, and the alarm rules. Every key is checked."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

from edgeml.errors import FleetError, UsageError
from edgeml.fleet.alerts import Rule
from edgeml.telemetry.broker_address import BrokerAddress, TlsFiles

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SQLITE: Final = "sqlite:///"
DEFAULTS: Final[dict[str, dict[str, Any]]] = {
    "store": {"url": "sqlite:///fleet.db"},
    "drift": {"period_s": 3600},
    "broker": {"url": "mqtt://127.0.0.1:1883", "ca": "", "certificate": "", "key": ""},  # files of TLS; "": none
    "alerts": {"webhook": ""},
    "updates": {"folder": "updates"},
    "dashboard": {"host": "127.0.0.1", "port": 8080, "token_file": "fleet.token"},
}


@dataclass(frozen=True, kw_only=True)
class FleetConfig:
    """What fleet.toml says. Relative paths are relative to its folder; `period_s` is that of roll-ups and tests."""

    store_url: str
    period_s: int
    broker: BrokerAddress
    http_host: str
    http_port: int
    token_file: Path
    update_folder: Path  # of update_repository.py
    webhook: str  # is told of alarms; "" is nobody
    rules: tuple[Rule, ...]


def load_config(path: Path) -> FleetConfig:
    """Read fleet.toml.

    Raises:
        FleetError: cannot be read, no TOML, an unknown key, or a value out of its range.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise FleetError(f"cannot read {path}: {error.strerror}; docs/howto/fleet.md has an example") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise FleetError(f"{path} is not TOML: {error}") from error
    try:
        return _config_of(document, path.resolve().parent)
    except (FleetError, UsageError) as error:
        raise FleetError(f"{path}: {error}") from error


def _config_of(document: Mapping[str, Any], folder: Path) -> FleetConfig:
    if unknown := document.keys() - DEFAULTS.keys() - {"rule"}:
        raise FleetError(f"unknown table [{min(unknown)}]")
    values: dict[str, dict[str, Any]] = {}
    for table, defaults in DEFAULTS.items():
        given = document.get(table, {})
        if not isinstance(given, dict):
            raise FleetError(f"{table} must be a table")
        if unknown := given.keys() - defaults.keys():
            raise FleetError(f"unknown key {min(unknown)!r} in [{table}]")
        values[table] = {**defaults, **given}
        for key, value in values[table].items():
            if type(value) is not type(defaults[key]):
                raise FleetError(f"[{table}] {key} must be {'text' if isinstance(defaults[key], str) else 'a number'}")
    if not 1 <= values["drift"]["period_s"] <= 7 * 86_400:
        raise FleetError("[drift] period_s must be 1 second to 7 days")
    if not 0 <= values["dashboard"]["port"] <= 65_535:
        raise FleetError("[dashboard] port must be 0..65535")
    webhook = values["alerts"]["webhook"]
    if webhook and not webhook.startswith(("http://", "https://")):
        raise FleetError(f"[alerts] webhook {webhook!r:.200} must begin with http:// or https://")
    return FleetConfig(
        store_url=_in_folder(values["store"]["url"], folder),
        period_s=values["drift"]["period_s"],
        broker=BrokerAddress.from_url(values["broker"]["url"], _tls_of(values["broker"], folder)),
        http_host=values["dashboard"]["host"],
        http_port=values["dashboard"]["port"],
        token_file=folder / values["dashboard"]["token_file"],
        update_folder=folder / values["updates"]["folder"],
        webhook=webhook,
        rules=_rules_of(document.get("rule", [])),
    )


def _tls_of(values: Mapping[str, str], folder: Path) -> TlsFiles | None:
    files = {name: folder / values[name] for name in ("ca", "certificate", "key") if values[name]}
    if not files:
        return None
    tls = TlsFiles(**files)
    tls.context()  # files that cannot be read are found here
    return tls


def _in_folder(url: str, folder: Path) -> str:
    """Make the path of an SQLite URL absolute."""
    return f"{SQLITE}{folder / url.removeprefix(SQLITE)}" if url.startswith(SQLITE) and url != SQLITE else url


def _rules_of(rows: Any) -> tuple[Rule, ...]:
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise FleetError("rules are written as [[rule]]")
    known = {field.name for field in fields(Rule)}
    for row in rows:
        if unknown := row.keys() - known:
            raise FleetError(f"unknown key {min(unknown)!r} in rule {row.get('name')!r}")
        if missing := {"name", "owner", "playbook"} - row.keys():
            raise FleetError(f"rule {row.get('name')!r}: key {min(missing)!r} is missing")
    rules = tuple(Rule(**row) for row in rows)
    names = [rule.name for rule in rules]
    if twice := {name for name in names if names.count(name) > 1}:
        raise FleetError(f"two rules have the name {min(twice)!r}")
    return rules
