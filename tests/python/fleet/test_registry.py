# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa

from edgeml.artifact.artifact import Artifact
from edgeml.errors import ArtifactError, FleetError
from edgeml.fleet.evaluation import evaluate
from edgeml.fleet.registry import push_model
from edgeml.fleet.store import tables as t
from edgeml.fleet.store.engine import open_store, reading, writing
from edgeml.fleet.store.intake import take_in
from support.reports import NOON_S, normal_counts, normal_schema, received, report, window
from support.small_artifact import every_operator

SCHEMA = normal_schema(features=2)


def artifact(telemetry: bytes | None = SCHEMA.to_bytes()) -> Artifact:
    return Artifact.build(replace(every_operator(), telemetry=telemetry))


def test_windows_that_came_before_their_model_are_evaluated(tmp_path: Path) -> None:
    engine = open_store(f"sqlite:///{tmp_path / 'fleet.db'}")
    counts = normal_counts(SCHEMA, np.random.default_rng(1))
    with writing(engine) as connection:
        one = received("a", report(b"epoch--1", [window(1, counts, SCHEMA.id)]))
        take_in(connection, [one], now_s=NOON_S, period_s=3600)
    evaluate(engine, [], period_s=3600, now_s=NOON_S)
    with writing(engine) as connection:
        assert connection.execute(sa.select(t.drift)).all() == []
        pushed = push_model(connection, artifact(), now_s=NOON_S)
        again = push_model(connection, artifact(), now_s=NOON_S + 1)
    assert (pushed.new, again.new) == (True, False)
    assert pushed.schema_id == SCHEMA.id
    evaluate(engine, [], period_s=3600, now_s=NOON_S)
    with reading(engine) as connection:
        assert len(connection.execute(sa.select(t.drift)).all()) == 2
        (row,) = connection.execute(sa.select(t.model)).all()
    assert row.model_id == artifact().model_id == row.sha256[:8]
    assert row.bytes == len(artifact().to_bytes())
    assert row.pushed_s == NOON_S


def test_model_without_schema(tmp_path: Path) -> None:
    engine = open_store(f"sqlite:///{tmp_path / 'fleet.db'}")
    with pytest.raises(FleetError, match="has no telemetry schema"), writing(engine) as connection:
        push_model(connection, artifact(None), now_s=NOON_S)


def test_schema_that_is_not_valid(tmp_path: Path) -> None:
    engine = open_store(f"sqlite:///{tmp_path / 'fleet.db'}")
    with pytest.raises(ArtifactError, match="telemetry schema"), writing(engine) as connection:
        push_model(connection, artifact(b'{"features":[],"samples":0,"version":1}'), now_s=NOON_S)
    with reading(engine) as connection:
        assert connection.execute(sa.select(t.telemetry_schema)).all() == []
