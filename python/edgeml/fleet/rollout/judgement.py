# SPDX-License-Identifier: Apache-2.0
"""Looks at a rollout: brings the evidence of its gates up to date, and says whether one has failed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa

from edgeml.fleet.rollout.gates import P_MIN, Rate, add_evidence, excess_p_value, log_limit, tail_p_value
from edgeml.fleet.rollout.health import Health, added, health_of
from edgeml.fleet.rollout.policy import Policy
from edgeml.fleet.store.release_tables import business_result, rollout, rollout_device, rollout_gate

WINDOW_GATES: Final = ("latency", "errors", "abstain", "drift")
BASELINE_PERIODS: Final = 24  # before the rollout
DEVICE_SLICE: Final = "all"


def judge_periods(
    connection: sa.Connection, row: sa.Row[Any], policy: Policy, *, period_s: int, now_s: int
) -> tuple[str, ...]:
    """Take the periods that are over into the evidence; gives the gates that have failed, as sentences."""
    before_s = now_s - now_s % period_s - period_s  # the newest period may still get windows
    slices = _slices(connection, row.id)
    if before_s > row.judged_upto_s:
        for name, device_ids in slices.items():
            _judge_slice(
                connection, row, policy, name, device_ids, before_s=before_s, count=len(slices), period_s=period_s
            )
        connection.execute(sa.update(rollout).where(rollout.c.id == row.id).values(judged_upto_s=before_s))
    _judge_business(connection, row, policy, now_s)
    return tuple(
        f"{one.gate} in {one.slice}: {one.observed:.3g}, the old model has {one.baseline:.3g}, {one.excess:.3g} more is allowed"
        for one in evidence(connection, row.id, row.wave)
        if one.log_e >= one.log_limit
    )


def judge_devices(devices: Sequence[Any], policy: Policy) -> tuple[str, ...]:
    """Whether more devices of the waves so far left the model, or fell silent, than a good model explains."""
    asked = [one for one in devices if one.state != "waiting"]
    problems = []
    for state, share, what in (
        ("failed", policy.failed_share, "left the model by themselves"),
        ("silent", policy.silent_share, "are silent past the deadline"),
    ):
        found = [one for one in asked if one.state == state]
        is_all = bool(found) and len(found) == len(asked)
        if is_all or tail_p_value(len(found), len(asked), share) < policy.false_stop / 2:
            reasons = ", ".join(sorted({one.reason for one in found if one.reason}))
            problems.append(f"{len(found)} of {len(asked)} devices {what}{': ' if reasons else ''}{reasons}")
    return tuple(problems)


def evidence(connection: sa.Connection, rollout_id: int, wave: int | None = None) -> list[sa.Row[Any]]:
    """Rows of rollout_gate, the strongest first."""
    query = sa.select(rollout_gate).where(rollout_gate.c.rollout_id == rollout_id)
    if wave is not None:
        query = query.where(rollout_gate.c.wave == wave)
    return list(connection.execute(query.order_by(rollout_gate.c.wave.desc(), rollout_gate.c.log_e.desc())).all())


def has_samples(connection: sa.Connection, row: sa.Row[Any], policy: Policy) -> bool:
    """Whether each slice with devices in the waves so far has shown enough of the model in this wave."""
    rows = [one for one in evidence(connection, row.id, row.wave) if one.gate == WINDOW_GATES[0]]
    return {one.slice for one in rows} >= set(_slices(connection, row.id)) and all(
        one.samples >= policy.samples_min for one in rows
    )


def _slices(connection: sa.Connection, rollout_id: int) -> dict[str, list[int]]:
    """Devices that were asked to run the model, by slice."""
    query = sa.select(rollout_device.c.device_id, rollout_device.c.slice).where(
        rollout_device.c.rollout_id == rollout_id, rollout_device.c.state != "waiting"
    )
    found: dict[str, list[int]] = {}
    for one in connection.execute(query):
        found.setdefault(one.slice, []).append(one.device_id)
    return found


def _judge_slice(  # noqa: PLR0913 - what, where, by which rules, until when
    connection: sa.Connection,
    row: sa.Row[Any],
    policy: Policy,
    name: str,
    device_ids: Sequence[int],
    *,
    before_s: int,
    count: int,
    period_s: int,
) -> None:
    candidate = health_of(connection, device_ids, row.model_id, from_s=row.judged_upto_s, before_s=before_s)
    everyone = sa.select(rollout_device.c.device_id).where(
        rollout_device.c.rollout_id == row.id, rollout_device.c.slice == name
    )
    baseline = health_of(
        connection,
        connection.execute(everyone).scalars(),
        row.fallback_id,
        from_s=row.started_s - BASELINE_PERIODS * period_s,
        before_s=before_s,
    )
    if not candidate or not baseline:
        return
    old = added(list(baseline.values()))
    known = {one.gate: one for one in evidence(connection, row.id, row.wave) if one.slice == name}
    limit = log_limit(policy.false_stop / 2, (len(WINDOW_GATES) + 1) * count * len(policy.waves))
    rows = {}
    for gate in WINDOW_GATES:
        log_e, samples = (known[gate].log_e, known[gate].samples) if gate in known else (0.0, 0.0)
        observed = base = excess = 0.0
        for health in candidate.values():
            p_value, observed, base, excess = _look(gate, health, old, policy)
            log_e, samples = add_evidence(log_e, p_value), samples + health.samples
        rows[gate] = {
            "log_e": log_e,
            "log_limit": limit,
            "observed": observed,
            "baseline": base,
            "excess": excess,
            "samples": samples,
            "time_s": before_s,
        }
    _write(connection, row, name, rows)


def _look(gate: str, health: Health, old: Health, policy: Policy) -> tuple[float, float, float, float]:
    """P-value of one period, what was observed, the old model's share, and how much more is allowed."""
    if gate == "drift":
        p_value, psi = health.output_drift(policy.drift_psi)
        return p_value, psi, 0.0, policy.drift_psi
    tail_slot = old.tail_slot()
    pairs: Mapping[str, tuple[Rate, Rate, float]] = {
        "latency": (health.slower(tail_slot), old.slower(tail_slot), policy.latency_excess)
        if tail_slot is not None
        else (Rate(), Rate(), 0.0),
        "errors": (health.errors(), old.errors(), policy.error_excess),
        "abstain": (
            health.abstentions(policy.abstain_below),
            old.abstentions(policy.abstain_below),
            policy.abstain_excess,
        ),
    }
    new, before, excess = pairs[gate]
    return excess_p_value(new, before, excess), new.share, before.share, excess


def _judge_business(connection: sa.Connection, row: sa.Row[Any], policy: Policy, now_s: int) -> None:
    query = sa.select(business_result).where(business_result.c.rollout_id == row.id)
    results = {one.is_candidate: one for one in connection.execute(query)}
    if len(results) < 2:
        return
    new, old = (
        Rate(count=results[is_new].total - results[is_new].good, samples=results[is_new].total)
        for is_new in (True, False)
    )
    p_value = excess_p_value(new, old, policy.business_loss)
    gate = {
        "log_e": math.log(0.5) - 0.5 * math.log(max(p_value, P_MIN)),
        "log_limit": log_limit(policy.false_stop / 2, (len(WINDOW_GATES) + 1) * len(policy.waves)),
        "observed": new.share,
        "baseline": old.share,
        "excess": policy.business_loss,
        "samples": new.samples,
        "time_s": now_s,
    }
    _write(connection, row, DEVICE_SLICE, {"business metric": gate})


def _write(connection: sa.Connection, row: sa.Row[Any], name: str, gates: Mapping[str, Mapping[str, Any]]) -> None:
    c = rollout_gate.c
    connection.execute(
        sa.delete(rollout_gate).where(
            c.rollout_id == row.id, c.wave == row.wave, c.slice == name, c.gate.in_(list(gates))
        )
    )
    rows = [
        {"rollout_id": row.id, "wave": row.wave, "slice": name, "gate": gate, **values}
        for gate, values in gates.items()
    ]
    connection.execute(sa.insert(rollout_gate), rows)
