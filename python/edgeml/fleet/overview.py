# SPDX-License-Identifier: Apache-2.0
"""The state of the fleet as one value: dashboard, JSON API, metrics and command line all show this and nothing else."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa

from edgeml.fleet.books import Book, books
from edgeml.fleet.evaluation import schema_of
from edgeml.fleet.store import tables as t
from edgeml.fleet.store.periods import newest_of

SILENT_AFTER_S: Final = 900  # three windows of five minutes
HISTORY_PERIODS: Final = 60
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

    Of both, without a period that has only just begun (newest_telling).
    """

    time_s: int
    period_s: int
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
        return sum(device.book.produced for device in self.devices)

    @property
    def stored(self) -> int:
        """Windows in the store."""
        return sum(device.book.stored for device in self.devices)

    @property
    def waiting(self) -> int:
        """Windows still on devices."""
        return sum(device.book.waiting for device in self.devices)

    @property
    def lost(self) -> int:
        """Windows that devices' media destroyed, as the devices said."""
        return sum(device.book.lost for device in self.devices)

    @property
    def unaccounted(self) -> int:
        """Windows that nobody has; must be 0."""
        return sum(device.book.unaccounted for device in self.devices)

    @property
    def open_alarms(self) -> list[Alarm]:
        """Alarms that are not closed."""
        return [alarm for alarm in self.alarms if alarm.closed_s is None]


def overview(connection: sa.Connection, *, now_s: int, period_s: int) -> Overview:
    """Read the state of the fleet in the caller's transaction."""
    alarms = _alarms(connection)
    counters = {row.name: row.value for row in connection.execute(sa.select(t.counter))}
    return Overview(
        time_s=now_s,
        period_s=period_s,
        devices=_devices(connection, alarms, now_s),
        alarms=alarms,
        drift=_newest_drift(connection),
        history=_history(connection),
        models=_models(connection),
        windows_without_schema=_windows_in_state(connection, t.WAITING),
        windows_refused=_windows_in_state(connection, t.REFUSED),
        windows_repeated=counters.get("windows_repeated", 0),
        messages_quarantined=counters.get("messages_quarantined", 0),
    )


def _windows_in_state(connection: sa.Connection, state: int) -> int:
    query = sa.select(sa.func.count()).select_from(t.window).where(t.window.c.state == state)
    return int(connection.execute(query).scalar_one())


def _devices(connection: sa.Connection, alarms: list[Alarm], now_s: int) -> list[Device]:
    of_device = {(book.tenant, book.device): book for book in books(connection)}
    rows = connection.execute(sa.select(t.device).order_by(t.device.c.tenant, t.device.c.name))
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
            alarms=sum(a.closed_s is None and (a.tenant, a.device) == (row.tenant, row.name) for a in alarms),
        )
        for row in rows
    ]


def _state(row: sa.Row[Any], now_s: int) -> str:
    if not row.online:
        return "offline"
    return "silent" if now_s - row.last_seen_s > SILENT_AFTER_S else "online"


def _alarms(connection: sa.Connection) -> list[Alarm]:
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


def _newest_drift(connection: sa.Connection) -> list[Drift]:
    query = _drift_query().where(t.drift.c.period_start_s >= newest_of(t.device.c.id, 2))
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


def _history(connection: sa.Connection) -> list[DriftPeriod]:
    d = t.drift.c
    query = (
        sa.select(t.device.c.tenant, t.device.c.name, d.period_start_s, sa.func.max(d.samples).label("samples"))
        .add_columns(sa.func.min(d.p_value).label("p_value"), sa.func.max(d.psi).label("psi"))
        .join_from(t.device, t.drift, d.device_id == t.device.c.id)
        .where(d.period_start_s >= newest_of(t.device.c.id, HISTORY_PERIODS))
        .group_by(t.device.c.tenant, t.device.c.name, d.period_start_s)
        .order_by(t.device.c.tenant, t.device.c.name, d.period_start_s)
    )
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
    running: dict[bytes, int] = defaultdict(int)
    for row in connection.execute(sa.select(t.device.c.model_id)):
        running[row.model_id] += 1
    rows = connection.execute(sa.select(t.model).order_by(t.model.c.pushed_s.desc(), t.model.c.model_id))
    return [
        Model(
            model_id=row.model_id.hex(),
            schema_id=row.schema_id.hex(),
            name=row.name,
            bytes=row.bytes,
            pushed_s=row.pushed_s,
            devices=running[row.model_id],
            metadata=json.loads(row.metadata),
        )
        for row in rows
    ]
