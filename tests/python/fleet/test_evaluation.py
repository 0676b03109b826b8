# SPDX-License-Identifier: Apache-2.0
"""From stored windows to drift rows and alarms: the drifting device and no other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from edgeml.fleet import drift
from edgeml.fleet.alerts import Rule
from edgeml.fleet.evaluation import evaluate
from edgeml.fleet.received import Received
from edgeml.fleet.store import tables as t
from edgeml.fleet.store.engine import open_store, reading, writing
from edgeml.fleet.store.intake import take_in
from support.reports import NOISE_SCALE, NOON_S, normal_counts, normal_schema, received, report, window

SCHEMA = normal_schema(features=3)
RULE = Rule(name="inputs", owner="team", playbook="book.md", features="input/*", open_after=2, close_after=2)
HOUR_S = 3600


@pytest.fixture
def store(tmp_path: Path) -> sa.Engine:
    engine = open_store(f"sqlite:///{tmp_path / 'fleet.db'}")
    with writing(engine) as connection:
        row = {"schema_id": SCHEMA.id, "slots": SCHEMA.slot_count, "document": SCHEMA.to_bytes()}
        connection.execute(sa.insert(t.telemetry_schema), row)
    return engine


def hours(device: str, shifts: list[float], *, first_hour: int = 0) -> list[Received]:
    """Twelve windows an hour, whose features moved by the shift of their hour."""
    rng = np.random.default_rng(len(device) + first_hour)
    messages = []
    for hour, shift in enumerate(shifts, start=first_hour):
        seqs = range(12 * hour + 1, 12 * hour + 13)
        windows = [window(seq, normal_counts(SCHEMA, rng, shift=shift), SCHEMA.id) for seq in seqs]
        messages.append(received(device, report(device.encode()[:8].ljust(8, b"-"), windows)))
    return messages


def feed(engine: sa.Engine, messages: list[Received], *, now_s: int) -> None:
    with writing(engine) as connection:
        take_in(connection, messages, now_s=now_s, period_s=HOUR_S)
    evaluate(engine, [RULE], period_s=HOUR_S, now_s=now_s)


def rows(engine: sa.Engine, table: sa.Table) -> list[sa.Row[Any]]:
    with reading(engine) as connection:
        return list(connection.execute(sa.select(table)).all())


def test_alarm_for_the_drifting_device_and_no_other(store: sa.Engine) -> None:
    feed(store, hours("steady", [0.0] * 6) + hours("drifting", [0.0, 0.0, 0.6, 0.6]), now_s=NOON_S + 4 * HOUR_S)
    assert rows(store, t.alarm) == []  # of the last hour it cannot be known yet that it is over
    feed(store, hours("drifting", [0.6], first_hour=4), now_s=NOON_S + 5 * HOUR_S)
    (alarm,) = rows(store, t.alarm)
    names = {row.id: row.name for row in rows(store, t.device)}
    assert names[alarm.device_id] == "drifting"
    assert (alarm.since_s, alarm.opened_s, alarm.closed_s) == (NOON_S + 2 * HOUR_S, NOON_S + 5 * HOUR_S, None)
    assert (alarm.owner, alarm.playbook) == ("team", "book.md")
    found = json.loads(alarm.findings)
    assert {finding["feature"] for finding in found} == {"input/x[0]", "input/x[1]", "input/x[2]"}
    assert found == sorted(found, key=lambda finding: finding["p_value"])
    feed(store, hours("drifting", [0.0, 0.0, 0.0, 0.0], first_hour=5), now_s=NOON_S + 9 * HOUR_S)
    (alarm,) = rows(store, t.alarm)
    assert alarm.closed_s == NOON_S + 9 * HOUR_S
    feed(store, hours("drifting", [0.6, 0.6, 0.6], first_hour=9), now_s=NOON_S + 12 * HOUR_S)
    assert [row.closed_s is None for row in rows(store, t.alarm)] == [False, True]


def test_last_period_of_a_silent_device_counts_when_it_is_long_over(store: sa.Engine) -> None:
    feed(store, hours("drifting", [0.6, 0.6]), now_s=NOON_S + 3 * HOUR_S - 1)
    assert rows(store, t.alarm) == []
    evaluate(store, [RULE], period_s=HOUR_S, now_s=NOON_S + 3 * HOUR_S)
    assert len(rows(store, t.alarm)) == 1


def test_drift_rows_are_those_of_the_summed_windows(store: sa.Engine) -> None:
    messages = hours("device", [0.1, 0.2])
    feed(store, messages[1:], now_s=NOON_S)
    feed(store, messages[:1], now_s=NOON_S)
    evaluate(store, [RULE], period_s=HOUR_S, now_s=NOON_S)
    found = {(row.period_start_s, row.feature): row for row in rows(store, t.drift)}
    assert set(found) == {(NOON_S + HOUR_S * hour, feature) for hour in (0, 1) for feature in range(3)}  # no latency
    counts = np.sum(messages[0].counts, axis=0)
    noise = drift.Noise.of_releases([(NOISE_SCALE.numerator, NOISE_SCALE.denominator, 12)])
    samples = drift.samples_of(counts, features=4)
    begin, end = SCHEMA.offsets[1:3]
    expected = drift.feature_drift(
        np.array(SCHEMA.features[1].reference), counts[begin:end], samples=samples, noise=noise
    )
    assert expected is not None
    row = found[NOON_S, 1]
    assert (row.samples, row.statistic, row.p_value) == (samples, expected.statistic, expected.p_value)
    assert (row.psi, row.js, row.degrees) == (expected.psi, expected.js, expected.degrees)


def test_late_windows_change_their_period(store: sa.Engine) -> None:
    messages = hours("device", [0.0, 0.0])
    feed(store, messages, now_s=NOON_S)
    before = {(row.period_start_s, row.feature): row.statistic for row in rows(store, t.drift)}
    evaluate(store, [RULE], period_s=HOUR_S, now_s=NOON_S)
    assert {(row.period_start_s, row.feature): row.statistic for row in rows(store, t.drift)} == before
    counts = normal_counts(SCHEMA, np.random.default_rng(1), shift=1.0)
    late = received("device", report(b"epoch--2", [window(1, counts, SCHEMA.id, start=NOON_S)]))
    feed(store, [late], now_s=NOON_S)
    after = {(row.period_start_s, row.feature): row.statistic for row in rows(store, t.drift)}
    assert {key for key in before if before[key] != after[key]} == {(NOON_S, 0), (NOON_S, 1), (NOON_S, 2)}
