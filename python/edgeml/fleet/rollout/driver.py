# SPDX-License-Identifier: Apache-2.0
"""Drives rollouts: starts them, takes what devices tell into account, looks at the gates, and does what the table says."""

from __future__ import annotations

import hashlib
import json
import logging
import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa

from edgeml.artifact import canonical_json
from edgeml.errors import FleetError
from edgeml.fleet import audit
from edgeml.fleet.rollout.judgement import has_samples, judge_devices, judge_periods
from edgeml.fleet.rollout.machine import ACTIVE, Action, Event, State, step
from edgeml.fleet.rollout.policy import Policy, policy_of
from edgeml.fleet.store import tables as t
from edgeml.fleet.store.engine import writing
from edgeml.fleet.store.release_tables import rollout, rollout_device, want
from edgeml.fleet.store.statements import insert_new
from edgeml.fleet.update_repository import UpdateRepository
from edgeml.telemetry.messages import UINT_MAX
from edgeml.telemetry.want import PPM, Want, encode_want

log: Final = logging.getLogger(__name__)

EVENTS_UPTO: Final = "release_events_upto"  # counter: events of devices up to this id are taken into account
FROZEN: Final = "releases_frozen"  # counter: 1 while the freeze switch is on
STATE_OF_STAGE: Final = {"confirmed": "confirmed", "failed": "failed", "back": "back"}
SETTLED: Final = ("confirmed", "failed", "silent")


def start_rollout(  # noqa: PLR0913 - what, to whom, by which rules, by whom, when
    connection: sa.Connection,
    repository: UpdateRepository,
    model_id: bytes,
    policy: Policy,
    *,
    actor: str,
    now_s: int,
    tenant: str | None = None,
) -> int:
    """Begin to roll a model out to the devices that run another model of its name; gives the rollout's id.

    Raises:
        FleetError: the freeze switch is on, the model is not in the registry, no device runs another of its name, or a
            rollout of it is under way.
    """
    if is_frozen(connection):
        raise FleetError("the freeze switch is on: no wave begins; `edgeml fleet freeze off` first")
    model = connection.execute(sa.select(t.model).where(t.model.c.model_id == model_id)).one_or_none()
    if model is None or repository.custom_of(model.sha256.hex()) is None:
        raise FleetError(f"model {model_id.hex()} is not in the registry; push it first")
    query = sa.select(t.device, t.model.c.sha256).join(t.model, t.model.c.model_id == t.device.c.model_id)
    query = query.where(t.model.c.name == model.name, t.device.c.model_id != model_id)
    if tenant is not None:
        query = query.where(t.device.c.tenant == tenant)
    devices = connection.execute(query).all()
    if not devices:
        raise FleetError(f"no device runs another model of the name {model.name!r}")
    busy = sa.select(rollout_device.c.device_id).join(rollout, rollout.c.id == rollout_device.c.rollout_id)
    busy = busy.where(rollout.c.state.in_([state.value for state in ACTIVE]))
    if {one.id for one in devices} & set(connection.execute(busy).scalars()):
        raise FleetError("another rollout to these devices is under way; wait for its end, or abort it")
    fallback_id = Counter(one.model_id for one in devices).most_common(1)[0][0]
    row = {
        "model_id": model_id,
        "fallback_id": fallback_id,
        "state": State.RUNNING.value,
        "wave": 0,
        "policy": canonical_json.dump(policy.document()).decode(),
        "started_s": now_s,
        "wave_started_s": now_s,
        "reason": "",
        "judged_upto_s": 0,
    }
    rollout_id = int(connection.execute(sa.insert(rollout).returning(rollout.c.id), row).scalar_one())
    _deal(connection, rollout_id, [one for one in devices if one.model_id == fallback_id], policy, now_s)
    said = {
        "model": model_id.hex(),
        "fallback": fallback_id.hex(),
        "devices": len(devices),
        "policy": policy.document(),
    }
    audit.append(
        connection, "deployment", f"rollout {rollout_id}", {"event": "start", **said}, actor=actor, time_s=now_s
    )
    _ask_wave(connection, rollout_id, 0, model.sha256, policy, now_s)
    return rollout_id


def command(  # noqa: PLR0913 - which one, what, by whom, when
    connection: sa.Connection, repository: UpdateRepository, rollout_id: int, event: Event, *, actor: str, now_s: int
) -> State:
    """What a person tells a rollout: PAUSE, RESUME or ABORT; gives its state.

    Raises:
        FleetError: no such rollout, or it is in a state in which that means nothing.
    """
    row = connection.execute(sa.select(rollout).where(rollout.c.id == rollout_id).with_for_update()).one_or_none()
    if row is None:
        raise FleetError(f"there is no rollout {rollout_id}")
    if step(State(row.state), event).state is State(row.state):
        raise FleetError(f"rollout {rollout_id} is {row.state}: it cannot {event.value}")
    return _apply(connection, repository, row, event, f"{event.value} by {actor}", actor=actor, now_s=now_s)


def set_frozen(connection: sa.Connection, frozen: bool, *, actor: str, now_s: int) -> None:
    """The freeze switch: while it is on, no wave of any rollout begins."""
    insert_new(connection, t.counter, [{"name": FROZEN, "value": 0}])
    connection.execute(sa.update(t.counter).where(t.counter.c.name == FROZEN).values(value=int(frozen)))
    audit.append(connection, "operator", "freeze switch", {"frozen": frozen}, actor=actor, time_s=now_s)


def is_frozen(connection: sa.Connection) -> bool:
    """Whether the freeze switch is on."""
    return _counter(connection, FROZEN) == 1


def advance(engine: sa.Engine, repository: UpdateRepository, *, period_s: int, now_s: int) -> None:
    """Do what is due in all rollouts; one transaction each."""
    with writing(engine) as connection:
        _take_events(connection, now_s)
        query = sa.select(rollout.c.id).where(rollout.c.state.in_([state.value for state in ACTIVE]))
        active = list(connection.execute(query.order_by(rollout.c.id)).scalars())
    for rollout_id in active:
        with writing(engine) as connection:
            row = connection.execute(sa.select(rollout).where(rollout.c.id == rollout_id).with_for_update()).one()
            _advance_one(connection, repository, row, period_s=period_s, now_s=now_s)


def devices_of(connection: sa.Connection, rollout_id: int) -> list[sa.Row[Any]]:
    """Devices of a rollout with their names and their last sign of life."""
    query = (
        sa.select(rollout_device, t.device.c.tenant, t.device.c.name, t.device.c.last_seen_s, t.device.c.model_id)
        .join(t.device, t.device.c.id == rollout_device.c.device_id)
        .where(rollout_device.c.rollout_id == rollout_id)
        .order_by(rollout_device.c.wave, t.device.c.tenant, t.device.c.name)
    )
    return list(connection.execute(query).all())


def _advance_one(
    connection: sa.Connection, repository: UpdateRepository, row: sa.Row[Any], *, period_s: int, now_s: int
) -> None:
    policy = policy_of(json.loads(row.policy))
    _find_silent(connection, row, policy, now_s)
    devices = devices_of(connection, row.id)
    event, why = _event_of(connection, row, policy, devices, period_s=period_s, now_s=now_s)
    if event is not None:
        _apply(connection, repository, row, event, why, actor="fleet", now_s=now_s)


def _event_of(  # noqa: PLR0911, PLR0913 - one return for each thing that can have happened
    connection: sa.Connection, row: sa.Row[Any], policy: Policy, devices: Sequence[Any], *, period_s: int, now_s: int
) -> tuple[Event | None, str]:
    state = State(row.state)
    if state is State.ROLLING_BACK:
        going = [one for one in devices if one.state == "going back"]
        return (None, "") if going else (Event.ALL_BACK, "all devices that can be reached are back")
    problems = (
        *judge_devices(devices, policy),
        *judge_periods(connection, row, policy, period_s=period_s, now_s=now_s),
    )
    if problems:
        return Event.GATE_FAILED, "; ".join(problems)
    frozen = is_frozen(connection)
    if frozen and state is State.RUNNING:
        return Event.FREEZE, "the freeze switch is on"
    if not frozen and state is State.FROZEN:
        return Event.THAW, "the freeze switch is off"
    if state is not State.RUNNING:  # the gates alone are looked at while it is held
        return None, ""
    asked = [one for one in devices if one.state != "waiting"]
    age_s = now_s - row.wave_started_s
    if all(one.state in SETTLED for one in asked) and age_s >= policy.soak_s and has_samples(connection, row, policy):
        if row.wave + 1 == len(policy.waves):
            return Event.LAST_WAVE_PASSED, "every device has the model"
        return (Event.WAVE_PASSED, "all gates passed") if policy.may_begin_wave(now_s) else (None, "")
    if age_s > policy.soak_s + 2 * policy.deadline_s and not has_samples(connection, row, policy):
        return Event.GATE_FAILED, "the devices of the wave have not shown enough of the model by the deadline"
    return None, ""


def _apply(  # noqa: PLR0913
    connection: sa.Connection,
    repository: UpdateRepository,
    row: sa.Row[Any],
    event: Event,
    why: str,
    *,
    actor: str,
    now_s: int,
) -> State:
    after, actions = step(State(row.state), event)
    policy = policy_of(json.loads(row.policy))
    changes: dict[str, Any] = {"state": after.value}
    if Action.NEXT_WAVE in actions:
        changes |= {"wave": row.wave + 1, "wave_started_s": now_s}
        sha256 = connection.execute(sa.select(t.model.c.sha256).where(t.model.c.model_id == row.model_id)).scalar_one()
        _ask_wave(connection, row.id, row.wave + 1, sha256, policy, now_s)
    if Action.SEND_BACK in actions:
        changes |= {"reason": why, "wave_started_s": now_s}
        _send_back(connection, repository, row, now_s)
    if after not in ACTIVE:
        changes["ended_s"] = now_s
    connection.execute(sa.update(rollout).where(rollout.c.id == row.id).values(**changes))
    said = {"event": event.value, "state": after.value, "wave": changes.get("wave", row.wave), "why": why}
    audit.append(connection, "deployment", f"rollout {row.id}", said, actor=actor, time_s=now_s)
    log.warning("rollout %d: %s, now %s: %s", row.id, event.value, after.value, why)
    return after


def _deal(connection: sa.Connection, rollout_id: int, devices: Sequence[Any], policy: Policy, now_s: int) -> None:
    """Give each device its wave: in each slice by the hash of its name, those that are online before the others."""
    slices: dict[str, list[Any]] = defaultdict(list)
    for one in devices:
        slices[f"{one.tenant}/{one.isa or 'unknown'}"].append(one)
    rows = []
    for name, members in slices.items():
        members.sort(
            key=lambda one: (not one.online, hashlib.sha256(f"{rollout_id}/{one.tenant}/{one.name}".encode()).digest())
        )
        ends = [math.ceil(share * len(members)) for share in policy.waves]
        for place, one in enumerate(members):
            wave = next(wave for wave, end in enumerate(ends) if place < end)
            new = {"slice": name, "wave": wave, "state": "waiting", "changed_s": now_s, "reason": ""}
            rows.append({"rollout_id": rollout_id, "device_id": one.id, **new})
    connection.execute(sa.insert(rollout_device), rows)


def _ask_wave(  # noqa: PLR0913, PLR0917
    connection: sa.Connection, rollout_id: int, wave: int, sha256: bytes, policy: Policy, now_s: int
) -> None:
    c = rollout_device.c
    members = list(
        connection.execute(
            sa.select(c.device_id).where(c.rollout_id == rollout_id, c.wave == wave, c.state == "waiting")
        ).scalars()
    )
    wanted = Want(
        rollout=rollout_id,
        digest=sha256,
        shadow_inferences=policy.shadow_inferences,
        shadow_disagreement_ppm=round(policy.shadow_disagreement_max * PPM),
        probation_inferences=policy.probation_inferences,
        probation_s=policy.probation_s,
        latency_ratio_milli=round(policy.latency_ratio_max * 1000),
        error_ppm=round(policy.error_share_max * PPM),
    )
    _ask(connection, members, wanted, "wanted", now_s)


def _send_back(connection: sa.Connection, repository: UpdateRepository, row: sa.Row[Any], now_s: int) -> None:
    """Put the old model forward again, under a new version of the targets, and ask for it where the new one may be."""
    sha256 = connection.execute(sa.select(t.model.c.sha256).where(t.model.c.model_id == row.fallback_id)).scalar_one()
    repository.put_forward_again(sha256.hex(), now_s)
    asked = [one for one in devices_of(connection, row.id) if one.state != "waiting"]
    has_left = [one.device_id for one in asked if one.state == "failed"]
    c = rollout_device.c
    here = sa.update(rollout_device).where(c.rollout_id == row.id)
    connection.execute(here.where(c.device_id.in_(has_left)).values(changed_s=now_s))
    wanted = Want(rollout=row.id, digest=sha256, is_back=True)
    _ask(connection, [one.device_id for one in asked if one.state != "failed"], wanted, "going back", now_s)
    _want(
        connection, has_left, wanted, now_s
    )  # the retained want of the bad model must not greet them at their next start


def _ask(connection: sa.Connection, device_ids: Sequence[int], wanted: Want, state: str, now_s: int) -> None:
    c = rollout_device.c
    update = sa.update(rollout_device).where(c.rollout_id == wanted.rollout, c.device_id == sa.bindparam("row"))
    if device_ids:
        connection.execute(update, [{"row": one, "state": state, "changed_s": now_s} for one in device_ids])
    _want(connection, device_ids, wanted, now_s)


def _want(connection: sa.Connection, device_ids: Sequence[int], wanted: Want, now_s: int) -> None:
    if not device_ids:
        return
    connection.execute(sa.delete(want).where(want.c.device_id.in_(list(device_ids))))
    payload = encode_want(wanted)
    rows = [
        {"device_id": one, "rollout_id": wanted.rollout, "payload": payload, "made_s": now_s, "is_sent": False}
        for one in device_ids
    ]
    connection.execute(sa.insert(want), rows)


def _find_silent(connection: sa.Connection, row: sa.Row[Any], policy: Policy, now_s: int) -> None:
    """Devices that were asked and have not settled, or have settled and say nothing, for longer than the deadline."""
    late_s = now_s - policy.deadline_s
    for one in devices_of(connection, row.id):
        is_late = one.changed_s < late_s
        if one.state == "wanted" and is_late:
            _set_state(connection, row.id, one.device_id, "silent", "not settled", now_s)
        elif one.state == "confirmed" and is_late and one.last_seen_s < late_s:
            _set_state(connection, row.id, one.device_id, "silent", "no sign of life", now_s)
        elif one.state == "going back" and is_late:
            _set_state(connection, row.id, one.device_id, "silent", "not heard of since it was told to go back", now_s)


def _take_events(connection: sa.Connection, now_s: int) -> None:
    """What devices told since the last time: deployments that went well or not, updates that they refused."""
    upto = _counter(connection, EVENTS_UPTO)
    query = (
        sa.select(t.event, t.device.c.tenant, t.device.c.name)
        .join(t.device, t.device.c.id == t.event.c.device_id)
        .where(t.event.c.id > upto)
        .order_by(t.event.c.id)
    )
    for one in connection.execute(query).all():
        upto = one.id
        if one.kind not in ("deploy", "rollback", "update_refused"):
            continue
        said = _detail_of(one.detail)
        stage, number = said.get("stage"), said.get("rollout")
        if type(number) is int and 0 < number <= UINT_MAX and isinstance(stage, str) and stage in STATE_OF_STAGE:
            reason = str(said.get("reason", ""))[:1000]
            _set_state(connection, number, one.device_id, STATE_OF_STAGE[stage], reason, now_s)
        if one.kind != "deploy":
            detail = {"event": one.kind, "said": said}
            who = f"device:{one.tenant}/{one.name}"
            audit.append(connection, "deployment", f"rollout {number}", detail, actor=who, time_s=now_s)
    insert_new(connection, t.counter, [{"name": EVENTS_UPTO, "value": 0}])
    connection.execute(sa.update(t.counter).where(t.counter.c.name == EVENTS_UPTO).values(value=upto))


def _detail_of(text: str) -> dict[str, Any]:
    """What a device said, as an object that the audit log can hold: a device must not stop the rollouts of the others."""
    other = {"text": text[:1000]}
    try:
        said = json.loads(text)
        if not isinstance(said, dict) or not all(isinstance(value, (str, int)) for value in said.values()):
            return other
        canonical_json.dump(said)  # no half characters
    except (ValueError, RecursionError):
        return other
    return said


def _set_state(  # noqa: PLR0913, PLR0917
    connection: sa.Connection, rollout_id: int, device_id: int, state: str, reason: str, now_s: int
) -> None:
    """A device that is going back is done with it when it says so or has left the model; nothing else counts any more."""
    c = rollout_device.c
    update = sa.update(rollout_device).where(c.rollout_id == rollout_id, c.device_id == device_id, c.state != "waiting")
    if state == "confirmed":
        update = update.where(c.state != "going back")
    connection.execute(update.values(state=state, reason=reason, changed_s=now_s))


def _counter(connection: sa.Connection, name: str) -> int:
    return int(connection.execute(sa.select(t.counter.c.value).where(t.counter.c.name == name)).scalar() or 0)
