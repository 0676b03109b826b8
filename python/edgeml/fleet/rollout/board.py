# SPDX-License-Identifier: Apache-2.0
"""Rollouts as people look at them: waves with the states of their devices, and the evidence of each gate."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, Final

import sqlalchemy as sa

from edgeml.fleet.rollout.driver import devices_of
from edgeml.fleet.rollout.judgement import evidence
from edgeml.fleet.store import tables as t
from edgeml.fleet.store.release_tables import rollout

ROLLOUTS_MAX: Final = 20


@dataclass(frozen=True, kw_only=True)
class Gate:
    """What a gate knows of a slice: the shares of the newest period, and its evidence (natural logarithms)."""

    gate: str
    slice: str
    log_e: float
    log_limit: float
    observed: float
    baseline: float
    excess: float
    samples: float

    @property
    def failed(self) -> bool:
        """Whether it stops the rollout."""
        return self.log_e >= self.log_limit

    @property
    def share_of_limit(self) -> float:
        """How far the evidence is on its way to the limit, 0..1."""
        return min(1.0, max(0.0, self.log_e / self.log_limit)) if self.log_limit > 0 else 1.0


@dataclass(frozen=True, kw_only=True)
class Wave:
    """One wave: `states` has one word for each of its devices."""

    number: int
    share: float
    states: list[str]
    reasons: list[str]
    gates: list[Gate]


@dataclass(frozen=True, kw_only=True)
class RolloutState:
    """One rollout; ids are hex."""

    id: int
    model_id: str
    model_name: str
    fallback_id: str
    state: str
    wave: int
    started_s: int
    ended_s: int | None
    reason: str
    waves: list[Wave]

    def document(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)


def rollouts(connection: sa.Connection) -> list[RolloutState]:
    """The newest ROLLOUTS_MAX rollouts, newest first."""
    query = sa.select(rollout, t.model.c.name).join(t.model, t.model.c.model_id == rollout.c.model_id)
    rows = connection.execute(query.order_by(rollout.c.id.desc()).limit(ROLLOUTS_MAX)).all()
    return [_state_of(connection, row) for row in rows]


def _state_of(connection: sa.Connection, row: sa.Row[Any]) -> RolloutState:
    devices = devices_of(connection, row.id)
    gates = evidence(connection, row.id)
    names = ("gate", "slice", "log_e", "log_limit", "observed", "baseline", "excess", "samples")
    waves = [
        Wave(
            number=number,
            share=share,
            states=[one.state for one in devices if one.wave == number],
            reasons=sorted({one.reason for one in devices if one.wave == number and one.reason}),
            gates=[Gate(**{name: getattr(one, name) for name in names}) for one in gates if one.wave == number],
        )
        for number, share in enumerate(json.loads(row.policy)["waves"])
    ]
    return RolloutState(
        id=row.id,
        model_id=row.model_id.hex(),
        model_name=row.name,
        fallback_id=row.fallback_id.hex(),
        state=row.state,
        wave=row.wave,
        started_s=row.started_s,
        ended_s=row.ended_s,
        reason=row.reason,
        waves=waves,
    )
