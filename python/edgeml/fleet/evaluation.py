# SPDX-License-Identifier: Apache-2.0
"""Brings the conclusions up to date with the windows: waiting ones rolled up, changed periods tested, alarms judged."""

from __future__ import annotations

import json
import logging
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from functools import lru_cache
from typing import Any, Final

import numpy as np
import sqlalchemy as sa

from edgeml.fleet import drift
from edgeml.fleet.alerts import Finding, Period, Rule, Verdict, judge, log_e_min
from edgeml.fleet.e_values import accumulate
from edgeml.fleet.store import tables as t
from edgeml.fleet.store.engine import writing
from edgeml.fleet.store.periods import newest_of
from edgeml.fleet.store.rollup import counts_of, roll_up_waiting
from edgeml.fleet.store.statements import insert_new
from edgeml.observe.schema import TelemetrySchema

log: Final = logging.getLogger(__name__)

PERIODS_PER_TRANSACTION: Final = 200
EVIDENCE_PERIODS: Final = 24  # how far evidence looks back
DEVICES_PER_QUERY_MAX: Final = 1000  # a list of more is no faster than all of them


def evaluate(engine: sa.Engine, rules: Sequence[Rule], *, period_s: int, now_s: int, everything: bool = True) -> None:
    """Do all that is due. Several processes may do it at once: each step is one transaction and may be repeated.

    Without `everything`, alarms are judged only for devices whose drift rows changed: a device that fell silent in its
    last period needs a call with it.
    """
    more = True
    while more:
        with writing(engine) as connection:
            more = roll_up_waiting(connection, period_s=period_s) > 0
    changed: set[int] = set()
    tested: set[int] | None = None
    while tested is None or tested:
        with writing(engine) as connection:
            tested = test_changed_periods(connection)
        changed |= tested
    if everything or changed:
        with writing(engine) as connection:
            some = None if everything or len(changed) > DEVICES_PER_QUERY_MAX else changed
            judge_alarms(connection, rules, some, period_s=period_s, now_s=now_s)


def test_changed_periods(connection: sa.Connection) -> set[int]:
    """Test periods that gained windows since they were tested; gives their devices, none where all are tested."""
    key = (t.rollup.c.device_id, t.rollup.c.period_start_s, t.rollup.c.model_id, t.rollup.c.schema_id)
    due = connection.execute(sa.select(*key).where(~t.rollup.c.tested).distinct().limit(PERIODS_PER_TRANSACTION)).all()
    if not due:
        return set()
    query = sa.select(t.rollup, t.telemetry_schema.c.document).join(
        t.telemetry_schema, t.telemetry_schema.c.schema_id == t.rollup.c.schema_id
    )
    same = sa.tuple_(*key).in_([tuple(row) for row in due])
    parts: dict[tuple[Any, ...], list[sa.Row[Any]]] = defaultdict(list)
    for row in connection.execute(query.where(same).order_by(t.rollup.c.id).with_for_update(of=t.rollup)):
        parts[row.device_id, row.period_start_s, row.model_id, row.schema_id].append(row)
    results = [row for period in parts.values() for row in _drift_rows(period)]
    old = sa.tuple_(t.drift.c.device_id, t.drift.c.period_start_s, t.drift.c.model_id, t.drift.c.schema_id)
    connection.execute(sa.delete(t.drift).where(old.in_(list(parts))))
    if results:
        connection.execute(sa.insert(t.drift), results)
    _note_worst(connection, {(row.device_id, row.period_start_s) for row in due})
    connection.execute(sa.update(t.rollup).where(same).values(tested=True))
    return {row.device_id for row in due}


def _note_worst(connection: sa.Connection, changed: set[tuple[int, int]]) -> None:
    """Bring drift_period up to date for these devices and periods."""
    d, worst = t.drift.c, t.drift_period
    key = sa.tuple_(worst.c.device_id, worst.c.period_start_s)
    connection.execute(sa.delete(worst).where(key.in_(sorted(changed))))
    summed = sa.select(
        d.device_id, d.period_start_s, sa.func.max(d.samples), sa.func.min(d.p_value), sa.func.max(d.psi)
    )
    summed = summed.where(sa.tuple_(d.device_id, d.period_start_s).in_(sorted(changed)))
    connection.execute(sa.insert(worst).from_select(list(worst.c), summed.group_by(d.device_id, d.period_start_s)))


def _drift_rows(parts: Sequence[sa.Row[Any]]) -> list[dict[str, Any]]:
    """Drift rows of one device, period and model; `parts` differ in their noise scale only."""
    schema = schema_of(parts[0].document)
    counts = np.sum([counts_of(part.counts) for part in parts], axis=0)
    noise = drift.Noise.of_releases((p.noise_numerator, p.noise_denominator, p.releases) for p in parts)
    samples = drift.samples_of(counts, features=len(schema.features))
    rows = []
    for index, feature in enumerate(schema.features):
        begin, end = schema.offsets[index], schema.offsets[index + 1]
        reference = np.asarray(feature.reference, dtype=np.int64)
        found = drift.feature_drift(reference, counts[begin:end], samples=samples, noise=noise)
        if found is not None:
            rows.append(
                {
                    "device_id": parts[0].device_id,
                    "period_start_s": parts[0].period_start_s,
                    "model_id": parts[0].model_id,
                    "schema_id": parts[0].schema_id,
                    "feature": index,
                    "samples": samples,
                    "statistic": found.statistic,
                    "degrees": found.degrees,
                    "p_value": found.p_value,
                    "psi": found.psi,
                    "js": found.js,
                }
            )
    return rows


@lru_cache(maxsize=64)
def schema_of(document: bytes) -> TelemetrySchema:
    """Parse a schema of the store, once."""
    return TelemetrySchema.from_bytes(document)


def judge_alarms(
    connection: sa.Connection, rules: Sequence[Rule], device_ids: set[int] | None, *, period_s: int, now_s: int
) -> None:
    """Open and close alarms of these devices (None: all) by their newest periods."""
    devices = {row.id: row for row in connection.execute(sa.select(t.device))}
    alarms = connection.execute(sa.select(t.alarm).where(t.alarm.c.closed_s.is_(None)).with_for_update()).all()
    opened = {(alarm.rule, alarm.device_id): alarm for alarm in alarms}
    features = _testable_features(connection)
    longest = max((max(rule.open_after, rule.close_after) for rule in rules), default=0)
    known = finished_periods(
        connection, device_ids, period_s=period_s, now_s=now_s, newest=max(EVIDENCE_PERIODS, longest + 1)
    )
    for rule in rules:
        least = log_e_min(rule, features=sum(map(rule.covers, features)), devices=len(devices), period_s=period_s)
        for device_id, periods in known.items():
            alarm = opened.get((rule.name, device_id))
            verdict = judge(rule, periods, least, was_on=alarm is not None)
            if alarm is None and verdict.on:
                _open(connection, rule, devices[device_id], verdict, now_s)
            elif alarm is not None and verdict.on:
                _update(connection, alarm, verdict)
            elif alarm is not None:
                _close(connection, alarm, devices[device_id], now_s)


def _testable_features(connection: sa.Connection) -> set[str]:
    documents = connection.execute(sa.select(t.telemetry_schema.c.document)).scalars()
    return {f.name for document in documents for f in schema_of(document).features if f.source != "latency"}


def finished_periods(
    connection: sa.Connection, device_ids: set[int] | None, *, period_s: int, now_s: int, newest: int
) -> dict[int, list[Period]]:
    """Tested ones among the `newest` periods of each device, ascending, without those that may still grow.

    A period is over when a later one has begun on the device, or when it ended a period ago by the fleet's clock:
    looking at a growing period again and again would find something sooner or later.
    """
    d = t.drift.c
    query = (
        sa.select(t.drift, newest_of(t.device.c.id, 1).label("last_s"), t.telemetry_schema.c.document)
        .join_from(t.device, t.drift, d.device_id == t.device.c.id)
        .join(t.telemetry_schema, t.telemetry_schema.c.schema_id == d.schema_id)
        .where(d.period_start_s >= newest_of(t.device.c.id, newest))
        .order_by(d.device_id, d.period_start_s, d.model_id, d.feature)
    )
    if device_ids is not None:
        query = query.where(t.device.c.id.in_(sorted(device_ids)))
    finished: dict[tuple[int, bytes, str], list[sa.Row[Any]]] = defaultdict(list)  # by device, model and feature
    for row in connection.execute(query):
        if row.period_start_s < row.last_s or row.period_start_s + 2 * period_s <= now_s:
            name = schema_of(row.document).features[row.feature].name
            finished[row.device_id, row.model_id, name].append(row)
    grouped: dict[tuple[int, int, bytes], list[Finding]] = defaultdict(list)
    for (device_id, model_id, name), rows in finished.items():
        for row, evidence in zip(rows, accumulate(row.p_value for row in rows), strict=True):
            finding = Finding(
                feature=name,
                p_value=row.p_value,
                psi=row.psi,
                log_e=evidence.log_e,
                since_s=rows[evidence.since].period_start_s,
            )
            grouped[device_id, row.period_start_s, model_id].append(finding)
    periods: dict[int, list[Period]] = defaultdict(list)
    for device_id, start_s, model_id in sorted(grouped):
        found = grouped[device_id, start_s, model_id]
        periods[device_id].append(Period(start_s=start_s, findings=tuple(found)))
    return dict(periods)


def _open(connection: sa.Connection, rule: Rule, device: sa.Row[Any], verdict: Verdict, now_s: int) -> None:
    new = {
        "rule": rule.name,
        "device_id": device.id,
        "since_s": verdict.since_s,
        "opened_s": now_s,
        "findings": _findings(verdict),
        "owner": rule.owner,
        "playbook": rule.playbook,
    }
    insert_new(connection, t.alarm, [new])
    worst = verdict.findings[0]
    log.warning(
        "alarm %s: %s/%s drifts since %d, %s p=%.2g psi=%.2f; owner %s, playbook %s",
        *(rule.name, device.tenant, device.name, verdict.since_s, worst.feature, worst.p_value, worst.psi),
        *(rule.owner, rule.playbook),
    )


def _update(connection: sa.Connection, alarm: sa.Row[Any], verdict: Verdict) -> None:
    findings = _findings(verdict)
    if alarm.findings != findings:
        connection.execute(sa.update(t.alarm).where(t.alarm.c.id == alarm.id).values(findings=findings))


def _close(connection: sa.Connection, alarm: sa.Row[Any], device: sa.Row[Any], now_s: int) -> None:
    connection.execute(sa.update(t.alarm).where(t.alarm.c.id == alarm.id).values(closed_s=now_s))
    log.warning("alarm %s: %s/%s is over", alarm.rule, device.tenant, device.name)


def _findings(verdict: Verdict) -> str:
    return json.dumps([asdict(finding) for finding in verdict.findings])
