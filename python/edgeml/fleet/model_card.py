# SPDX-License-Identifier: Apache-2.0
"""The card of a model: who answers for it, how much harm it can do, and what it was made of; read from card.toml."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Final

from edgeml.errors import FleetError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

RISK_TIERS: Final = ("low", "medium", "high")
TEXT_CHARACTERS_MAX: Final = 1000
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """What stands on a card. `metrics` are numbers of the training, by name.

    Raises:
        FleetError: a value that cannot be, or a model of high risk without owner, playbook or business metric.
    """

    risk_tier: str = "low"
    owner: str = ""  # who is told
    playbook: str = ""  # where it is written what to do when it goes wrong
    business_metric: str = ""  # what the model is for, in the words of those who pay for it
    dataset_sha256: str = ""  # of the training data, 64 hexadecimal digits
    metrics: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.risk_tier not in RISK_TIERS:
            raise FleetError(f"card: risk_tier {self.risk_tier!r} is none of {', '.join(RISK_TIERS)}")
        for name in ("owner", "playbook", "business_metric", "dataset_sha256"):
            value = getattr(self, name)
            if not isinstance(value, str) or len(value) > TEXT_CHARACTERS_MAX:
                raise FleetError(f"card: {name} must be text of at most {TEXT_CHARACTERS_MAX} characters")
            if self.risk_tier == "high" and name != "dataset_sha256" and not value.strip():
                raise FleetError(f"card: a model of high risk needs {name}; write it in the card")
        if self.dataset_sha256 and not _SHA256.fullmatch(self.dataset_sha256):
            raise FleetError("card: dataset_sha256 must be 64 hexadecimal digits, as sha256sum prints them")
        if not isinstance(self.metrics, Mapping):
            raise FleetError("card: metrics must be a table of numbers")
        for name, number in self.metrics.items():
            if isinstance(number, bool) or not isinstance(number, (int, float)) or not math.isfinite(number):
                raise FleetError(f"card: metric {name!r} must be a finite number")

    def document(self) -> dict[str, Any]:
        """The card as JSON has it."""
        return {**asdict(self), "metrics": dict(self.metrics)}


def load_card(path: Path) -> ModelCard:
    """Read card.toml: the fields of ModelCard at the top, `metrics` as a table.

    Raises:
        FleetError: cannot be read, is no TOML, has an unknown key, or is no card.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise FleetError(f"cannot read {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise FleetError(f"{path} is not TOML: {error}") from error
    if unknown := document.keys() - {one.name for one in fields(ModelCard)}:
        raise FleetError(f"{path}: unknown key {min(unknown)!r}")
    try:
        return ModelCard(**document)
    except FleetError as error:
        raise FleetError(f"{path}: {error}") from error
