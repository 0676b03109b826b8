# SPDX-License-Identifier: Apache-2.0
"""The model card that the artifact carries in its metadata: who answers for the model and what it is for, from card.toml."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from edgeml.errors import UsageError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

RISK_TIERS: Final = ("low", "medium", "high")
TEXT_CHARACTERS_MAX: Final = 1000
TEXTS: Final = (
    "owner",
    "playbook",
    "business_metric",
    "intended_use",
    "limitations",
    "training_data",
    "dataset_sha256",
    "licence",
    "contact",
)
FIELDS: Final = ("risk_tier", *TEXTS)
NEEDED_AT_HIGH_RISK: Final = ("owner", "playbook", "business_metric")


def read_card(source: str | os.PathLike[str] | Mapping[str, Any]) -> dict[str, str]:
    """The fields of a card, from a TOML file or a mapping; those that it does not have are left out.

    Raises:
        UsageError: unreadable, no TOML, an unknown field, a value that is no text, or a model of high risk for which nobody answers.
    """
    where = "the card" if isinstance(source, Mapping) else os.fspath(source)
    document = source if isinstance(source, Mapping) else _read(Path(source))
    for name, value in document.items():
        if name not in FIELDS:
            raise UsageError(f"{where}: unknown field {name!r}; a card has {', '.join(FIELDS)}")
        if not isinstance(value, str) or len(value) > TEXT_CHARACTERS_MAX:
            raise UsageError(f"{where}: {name} must be text of at most {TEXT_CHARACTERS_MAX} characters")
    tier = document.get("risk_tier", "low")
    if tier not in RISK_TIERS:
        raise UsageError(f"{where}: risk_tier {tier!r} is none of {', '.join(RISK_TIERS)}")
    missing = [name for name in NEEDED_AT_HIGH_RISK if tier == "high" and not document.get(name, "").strip()]
    if missing:
        raise UsageError(f"{where}: a model of high risk needs {missing[0]}; write it in the card")
    return dict(document)


def _read(path: Path) -> dict[str, Any]:
    try:
        document: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not TOML: {error}") from error
    return document
