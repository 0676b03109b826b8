# SPDX-License-Identifier: Apache-2.0
"""How a rollout goes and what stops it; a TOML file, or the defaults."""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final

from edgeml.errors import FleetError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

DAY_S: Final = 86_400


@dataclass(frozen=True, kw_only=True)
class Policy:
    """Waves, waiting times in seconds, and the limits of the gates.

    Raises:
        FleetError: a value out of its range.
    """

    waves: tuple[float, ...] = (
        0.005,
        0.01,
        0.05,
        0.25,
        1.0,
    )  # shares of each device class, ascending; the first: canary
    soak_s: int = 3600  # least length of a wave
    deadline_s: int = 4 * 3600  # a device that has not settled by then, or says nothing for so long, is silent
    samples_min: int = 200  # inferences with the model in each slice, before a wave can pass
    maintenance: tuple[int, int] = (0, 0)  # hours of the day, UTC, in which a wave may begin; equal: always
    # What a device does by itself.
    shadow_inferences: int = 200  # beside the old model, before it is active
    shadow_disagreement_max: float = 0.2  # share of other decisions
    probation_inferences: int = 500  # active, before it is trusted
    probation_s: int = 600  # and at least so long
    latency_ratio_max: float = 1.5  # median against the old model
    error_share_max: float = 0.01  # outputs that are not finite
    # What the fleet looks at; a limit is how much worse than the old model is still allowed.
    false_stop: float = 0.01  # chance that a rollout without fault is stopped, over all gates and looks
    latency_excess: float = 0.15  # of the share above the old model's 95th percentile
    error_excess: float = 0.005  # of the share of outputs that are NaN
    abstain_below: float = 0.5  # a confidence below it abstains
    abstain_excess: float = 0.1  # of the share of these
    drift_psi: float = 0.25  # an output that moves less from its reference is no drift
    business_loss: float = 0.02  # of the share of good results of the business metric
    failed_share: float = 0.002  # of devices that leave a model that is good
    silent_share: float = 0.03  # of devices that fall silent anyway

    def __post_init__(self) -> None:
        shares = self.waves
        if not shares or list(shares) != sorted(set(shares)) or not shares[0] > 0 or shares[-1] != 1:
            raise FleetError(f"policy: waves {list(shares)} must ascend from above 0 to 1.0")
        for name, low, high in _RANGES:
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
                raise FleetError(f"policy: {name} {value!r} is not from {low:g} to {high:g}")
        for one in fields(self):
            if one.type == "int" and not isinstance(getattr(self, one.name), int):
                raise FleetError(f"policy: {one.name} must be a whole number")
        hours = self.maintenance
        if len(hours) != 2 or not all(isinstance(hour, int) and 0 <= hour <= 24 for hour in hours):
            raise FleetError(f"policy: maintenance {list(hours)} must be two hours of 0 to 24")

    def may_begin_wave(self, now_s: int) -> bool:
        """Whether this second is in the maintenance window; one that ends before it begins goes over midnight."""
        begin, end = self.maintenance
        hour = now_s % DAY_S / 3600
        return begin == end or (begin <= hour < end if begin < end else hour >= begin or hour < end)

    def document(self) -> dict[str, Any]:
        """As JSON has it; `policy_of` reads it."""
        return {**asdict(self), "waves": list(self.waves), "maintenance": list(self.maintenance)}


_RANGES: Final = (
    ("soak_s", 0, 30 * DAY_S),
    ("deadline_s", 1, 30 * DAY_S),
    ("samples_min", 0, 1e9),
    ("shadow_inferences", 0, 1e6),
    ("shadow_disagreement_max", 0, 1),
    ("probation_inferences", 1, 1e7),
    ("probation_s", 0, 7 * DAY_S),
    ("latency_ratio_max", 1, 100),
    ("error_share_max", 0, 1),
    ("false_stop", 1e-9, 0.5),
    ("latency_excess", 0, 1),
    ("error_excess", 0, 1),
    ("abstain_below", 0, 1),
    ("abstain_excess", 0, 1),
    ("drift_psi", 0, 100),
    ("business_loss", 0, 1),
    ("failed_share", 0, 0.5),
    ("silent_share", 0, 0.9),
)


def policy_of(document: dict[str, Any]) -> Policy:
    """Make a policy of its values by name.

    Raises:
        FleetError: an unknown name, or a value that cannot be.
    """
    if unknown := document.keys() - {one.name for one in fields(Policy)}:
        raise FleetError(f"policy: unknown key {min(unknown)!r}")
    pairs = {name: tuple(document[name]) for name in ("waves", "maintenance") if isinstance(document.get(name), list)}
    return Policy(**{**document, **pairs})


def load_policy(path: Path) -> Policy:
    """Read a policy file.

    Raises:
        FleetError: cannot be read, is no TOML, or no policy.
    """
    try:
        return policy_of(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise FleetError(f"cannot read {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise FleetError(f"{path} is not TOML: {error}") from error
    except (FleetError, TypeError) as error:
        raise FleetError(f"{path}: {error}") from error
