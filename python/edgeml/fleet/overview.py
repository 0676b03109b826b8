# SPDX-License-Identifier: Apache-2.0
"""The state of the fleet as one value: dashboard, JSON API, metrics and command line all show this and nothing else."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa

from edgeml.fleet.books import Book, Totals, books, devices_with_gaps, totals
from edgeml.fleet.evaluation import schema_of
from edgeml.fleet.store import tables as t
from edgeml.fleet.store.periods import newest_of

SILENT_AFTER_S: Final = 900  # three windows of five minutes
HISTORY_PERIODS: Final = 60
DEVICES_SHOWN_MAX: Final = 100
ALARMS_MAX: Final = 50
EVENTS_MAX: Final = 20


@dataclass(frozen=True, kw_only=True)
class Device:
    """One device: who it is, its book, its budget of the day."""

    tenant: str
    device: str
    state: str  # online; silent: nothing for SILENT_AFTER_S; offline: the broker sent its last will
    first_seen_s: int
    last_seen_s: int
    edgeml_version: str
    isa: str
    model_id: str  # hex, "" where no birth has come
    model_name: str
    epsilon_spent_micro: int
    epsilon_budget_micro: int
    book: Book
    alarms: int  # open ones


@dataclass(frozen=True, kw_only=True)
class Alarm:
    """An alarm, open where `closed_s` is None; `findings` are features, worst first."""

    rule: str
    tenant: str
    device: str
    since_s: int
    opened_s: int
    closed_s: int | None
    owner: str
    playbook: str
    findings: list[dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Drift:
    """The test of one feature of one device in one period."""

    tenant: str
    device: str
    feature: str
    period_start_s: int
    samples: float
    p_value: float
    psi: float
    js: float


@dataclass(frozen=True, kw_only=True)
class DriftPeriod:
    """The worst of all features of one device in one period."""

    tenant: str
    device: str
    period_start_s: int
    p_value_min: float
    psi_max: float


@dataclass(frozen=True, kw_only=True)
class Model:
    """A model of the registry; ids are hex."""

    model_id: str
    schema_id: str
    name: str
    bytes: int
    pushed_s: int
    devices: int
    metadata: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Overview:
    """Everything at one moment: `drift` the newest period of each device, `history` the newest HISTORY_PERIODS.

    Of both, without a period that has only just begun (newest_telling). `devices`, `drift` and `history` are of the
    devices that were asked for; the other figures are of the whole fleet.
    """

    time_s: int
    period_s: int
    totals: Totals
    device_count: int
    online_count: int
    devices: list[Device]
    alarms: list[Alarm]
    drift: list[Drift]
    history: list[DriftPeriod]
    models: list[Model]
    windows_without_schema: int  # stored; evaluated when their model is pushed
    windows_refused: int  # stored; not as long as their schema says
    windows_repeated: int
    messages_quarantined: int

    @property
    def produced(self) -> int:
        """Windows that the devices say they made."""
        return self.totals.produced

    @property
    def stored(self) -> int:
        """Windows in the store."""
        return self.totals.stored

    @property
    def waiting(self) -> int:
        """Windows still on devices."""
        return self.totals.waiting

    @property
    def lost(self) -> int:
        """Windows that the media of devices have destroyed."""
        return self.totals.lost

    @property
    def unaccounted(self) -> int:
        """Windows that nobody has; must be 0."""
        return self.totals.unaccounted

    @property
    def open_alarms(self) -> list[Alarm]:
        """Alarms that are not closed."""
        return [alarm for alarm in self.alarms if alarm.closed_s is None]


def overview(
    connection: sa.Connection, *, now_s: int, period_s: int, device_ids: Sequence[int] | None = None
) -> Overview:
    """Read the state of the fleet in the caller's transaction, with these devices (None: all)."""
    alarms = open_and_closed_alarms(connection)
    counters = {row.name: row.value for row in connection.execute(sa.select(t.counter))}
    return Overview(
        time_s=now_s,
        period_s=period_s,
        totals=totals(connection),
        device_count=_count_devices(connection, sa.true()),
        online_count=_count_devices(connection, is_in_state("online", now_s)),
        devices=devices_of(connection, device_ids, alarms, now_s),
        alarms=alarms,
        drift=_newest_drift(connection, device_ids),
        history=_history(connection, device_ids),
        models=_models(connection),
        windows_without_schema=_windows_in_state(connection, t.WAITING),
        windows_refused=_windows_in_state(connection, t.REFUSED),
        windows_repeated=counters.get("windows_repeated", 0),
        messages_quarantined=counters.get("messages_quarantined", 0),
    )


def devices_to_look_at(connection: sa.Connection, *, now_s: int) -> list[int] | None:
    """Ids of the devices that a page shows: all (None) up to DEVICES_SHOWN_MAX, else those that need people most.

    Those with open alarms, those with unaccounted windows, those that drift most in the newest periods, then by name.
    """
    if _count_devices(connection, sa.true()) <= DEVICES_SHOWN_MAX:
        return None
    a, worst = t.alarm.c, t.drift_period.c
    part = DEVICES_SHOWN_MAX // 3
    alarmed = sa.select(a.device_id).where(a.closed_s.is_(None)).order_by(a.opened_s.desc()).limit(part)
    newest_s = connection.execute(sa.select(sa.func.max(worst.period_start_s)).where(worst.period_start_s <= now_s))
    starts = sa.select(worst.period_start_s).where(worst.period_start_s < newest_s.scalar()).distinct()
    before = connection.execute(starts.order_by(worst.period_start_s.desc()).limit(1)).scalar()  # the last full one
    drifting = sa.select(worst.device_id).where(worst.period_start_s == before)
    by_name = sa.select(t.device.c.id).order_by(t.device.c.tenant, t.device.c.name).limit(DEVICES_SHOWN_MAX)
    ids = [
        *connection.execute(alarmed).scalars(),
        *devices_with_gaps(connection, part),
        *connection.execute(drifting.order_by(worst.psi_max.desc()).limit(part)).scalars(),
        *connection.execute(by_name).scalars(),
    ]
    return list(dict.fromkeys(ids))[:DEVICES_SHOWN_MAX]


def page_of_devices(
    connection: sa.Connection, *, state: str, offset: int, limit: int, now_s: int
) -> tuple[int, list[int]]:
    """How many devices are in a state ("any": all), and the ids of a page of them, by name."""
    condition = sa.true() if state == "any" else is_in_state(state, now_s)
    query = sa.select(t.device.c.id).where(condition).order_by(t.device.c.tenant, t.device.c.name)
    ids = connection.execute(query.offset(offset).limit(limit)).scalars().all()
    return _count_devices(connection, condition), list(ids)


def id_of_device(connection: sa.Connection, tenant: str, device: str) -> int | None:
    """Row of a device; None where there is none."""
    query = sa.select(t.device.c.id).where(t.device.c.tenant == tenant, t.device.c.name == device)
    found: int | None = connection.execute(query).scalar()
    return found


def is_in_state(state: str, now_s: int) -> sa.ColumnElement[bool]:
    """Condition for online, silent or offline, as in Device.state."""
    is_silent = t.device.c.last_seen_s < now_s - SILENT_AFTER_S
    return {
        "online": t.device.c.online & ~is_silent,
        "silent": t.device.c.online & is_silent,
        "offline": ~t.device.c.online,
    }[state]


def _count_devices(connection: sa.Connection, condition: sa.ColumnElement[bool]) -> int:
    query = sa.select(sa.func.count()).select_from(t.device).where(condition)
    return int(connection.execute(query).scalar_one())


def _windows_in_state(connection: sa.Connection, state: int) -> int:
    is_in = t.window.c.state == sa.literal_column(str(state))  # a literal, so that the partial index serves
    query = sa.select(sa.func.count()).select_from(t.window).where(is_in)
    return int(connection.execute(query).scalar_one())


def devices_of(
    connection: sa.Connection, device_ids: Sequence[int] | None, alarms: Sequence[Alarm], now_s: int
) -> list[Device]:
    """These devices (None: all), by name."""
    of_device = {(book.tenant, book.device): book for book in books(connection, device_ids)}
    opened = Counter((alarm.tenant, alarm.device) for alarm in alarms if alarm.closed_s is None)
    query = sa.select(t.device).order_by(t.device.c.tenant, t.device.c.name)
    rows = connection.execute(_only(query, device_ids))
    return [
        Device(
            tenant=row.tenant,
            device=row.name,
            state=_state(row, now_s),
            first_seen_s=row.first_seen_s,
            last_seen_s=row.last_seen_s,
            edgeml_version=row.edgeml_version or "",
            isa=row.isa or "",
            model_id=(row.model_id or b"").hex(),
            model_name=row.model_name or "",
            epsilon_spent_micro=row.epsilon_spent_micro,
            epsilon_budget_micro=row.epsilon_budget_micro,
            book=of_device[row.tenant, row.name],
            alarms=opened[row.tenant, row.name],
        )
        for row in rows
    ]


def _only(query: sa.Select[Any], device_ids: Sequence[int] | None) -> sa.Select[Any]:
    return query if device_ids is None else query.where(t.device.c.id.in_(device_ids))


def _state(row: sa.Row[Any], now_s: int) -> str:
    if not row.online:
        return "offline"
    return "silent" if now_s - row.last_seen_s > SILENT_AFTER_S else "online"


def open_and_closed_alarms(connection: sa.Connection) -> list[Alarm]:
    """All open alarms, then the newest closed ones."""
    query = (
        sa.select(t.alarm, t.device.c.tenant, t.device.c.name)
        .join(t.device, t.device.c.id == t.alarm.c.device_id)
        .order_by(t.alarm.c.closed_s.is_not(None), t.alarm.c.opened_s.desc(), t.alarm.c.id.desc())
    )
    alarms: list[Alarm] = []
    for row in connection.execute(query):
        if row.closed_s is not None and len(alarms) >= ALARMS_MAX:
            break  # open ones come first and are all shown
        alarms.append(
            Alarm(
                rule=row.rule,
                tenant=row.tenant,
                device=row.name,
                since_s=row.since_s,
                opened_s=row.opened_s,
                closed_s=row.closed_s,
                owner=row.owner,
                playbook=row.playbook,
                findings=json.loads(row.findings),
            )
        )
    return alarms


def _newest_drift(connection: sa.Connection, device_ids: Sequence[int] | None) -> list[Drift]:
    query = _only(_drift_query().where(t.drift.c.period_start_s >= newest_of(t.device.c.id, 2)), device_ids)
    of_device: dict[tuple[str, str], list[Drift]] = defaultdict(list)
    for row in connection.execute(query):
        of_device[row.tenant, row.name].append(_drift(row))
    newest = []
    for found in of_device.values():
        start_s = newest_telling({one.period_start_s: one.samples for one in found})
        newest += [one for one in found if one.period_start_s == start_s]
    return newest


def newest_telling(samples: dict[int, float]) -> int:
    """Choose among periods, given as start and samples: the newest, unless it has only just begun.

    Until a period holds half as many samples as the one before, the one before says more about how things are.
    """
    newest, *before = sorted(samples, reverse=True)
    return before[0] if before and samples[newest] < samples[before[0]] / 2 else newest


def drift_of_device(connection: sa.Connection, tenant: str, device: str) -> list[Drift]:
    """Tests of the newest HISTORY_PERIODS periods of a device, by time and place in the schema."""
    query = _drift_query().where(
        t.device.c.tenant == tenant,
        t.device.c.name == device,
        t.drift.c.period_start_s >= newest_of(t.device.c.id, HISTORY_PERIODS),
    )
    found = [_drift(row) for row in connection.execute(query)]
    if not found:
        return []
    end_s = newest_telling({one.period_start_s: one.samples for one in found})
    return [one for one in found if one.period_start_s <= end_s]


def _drift_query() -> sa.Select[Any]:
    return (
        sa.select(t.drift, t.device.c.tenant, t.device.c.name, t.telemetry_schema.c.document)
        .join(t.device, t.device.c.id == t.drift.c.device_id)
        .join(t.telemetry_schema, t.telemetry_schema.c.schema_id == t.drift.c.schema_id)
        .order_by(t.device.c.tenant, t.device.c.name, t.drift.c.period_start_s, t.drift.c.model_id, t.drift.c.feature)
    )


def _drift(row: sa.Row[Any]) -> Drift:
    return Drift(
        tenant=row.tenant,
        device=row.name,
        feature=schema_of(row.document).features[row.feature].name,
        period_start_s=row.period_start_s,
        samples=row.samples,
        p_value=row.p_value,
        psi=row.psi,
        js=row.js,
    )


def _history(connection: sa.Connection, device_ids: Sequence[int] | None) -> list[DriftPeriod]:
    worst = t.drift_period.c
    query = (
        sa.select(t.device.c.tenant, t.device.c.name, worst.period_start_s, worst.samples)
        .add_columns(worst.p_value_min.label("p_value"), worst.psi_max.label("psi"))
        .join_from(t.device, t.drift_period, worst.device_id == t.device.c.id)
        .where(worst.period_start_s >= newest_of(t.device.c.id, HISTORY_PERIODS))
        .order_by(t.device.c.tenant, t.device.c.name, worst.period_start_s)
    )
    query = _only(query, device_ids)
    of_device: dict[tuple[str, str], list[sa.Row[Any]]] = defaultdict(list)
    for row in connection.execute(query):
        of_device[row.tenant, row.name].append(row)
    history = []
    for (tenant, device), rows in of_device.items():
        end_s = newest_telling({row.period_start_s: row.samples for row in rows})
        history += [
            DriftPeriod(
                tenant=tenant,
                device=device,
                period_start_s=row.period_start_s,
                p_value_min=row.p_value,
                psi_max=row.psi,
            )
            for row in rows
            if row.period_start_s <= end_s
        ]
    return history


def _models(connection: sa.Connection) -> list[Model]:
    counted = sa.select(t.device.c.model_id, sa.func.count()).group_by(t.device.c.model_id)
    running: dict[bytes | None, int] = {row[0]: row[1] for row in connection.execute(counted)}
    rows = connection.execute(sa.select(t.model).order_by(t.model.c.pushed_s.desc(), t.model.c.model_id))
    return [
        Model(
            model_id=row.model_id.hex(),
            schema_id=row.schema_id.hex(),
            name=row.name,
            bytes=row.bytes,
            pushed_s=row.pushed_s,
            devices=running.get(row.model_id, 0),
            metadata=json.loads(row.metadata),
        )
        for row in rows
    ]
