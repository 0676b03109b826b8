# SPDX-License-Identifier: Apache-2.0
"""Commands of people, the freeze switch, and what a device says that it refused."""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path

import pytest
import sqlalchemy as sa

from edgeml.errors import FleetError
from edgeml.fleet import audit
from edgeml.fleet.rollout.driver import advance, command, devices_of, is_frozen, set_frozen, start_rollout
from edgeml.fleet.rollout.machine import Event, State
from edgeml.fleet.rollout.policy import Policy
from edgeml.fleet.store import tables as t
from edgeml.fleet.store.engine import open_store, reading, writing
from edgeml.fleet.store.release_tables import rollout, want
from edgeml.fleet.update_repository import UpdateRepository
from edgeml.telemetry.want import decode_want

NOW_S = int(time.time())
OLD, NEW = (hashlib.sha256(name).digest() for name in (b"old", b"new"))
WHO = "operator:ada"


class Fleet:
    """Ten devices that run OLD, and a registry with both models."""

    def __init__(self, folder: Path) -> None:
        self.engine = open_store(f"sqlite:///{folder / 'fleet.db'}")
        self.shelf = UpdateRepository(folder / "updates")
        self.shelf.create(NOW_S)
        for data in (b"old", b"new"):
            self.shelf.put_forward(data, {"name": "m"}, NOW_S)
        with writing(self.engine) as connection:
            for digest in (OLD, NEW):
                row = {"model_id": digest[:8], "sha256": digest, "bytes": 3, "name": "m", "metadata": "{}"}
                connection.execute(sa.insert(t.model).values(**row, pushed_s=NOW_S))
            for number in range(10):
                row = {
                    "tenant": "acme",
                    "name": f"d{number}",
                    "first_seen_s": NOW_S,
                    "last_seen_s": NOW_S,
                    "online": True,
                }
                row |= {"isa": "avx2", "model_id": OLD[:8], "epsilon_spent_micro": 0, "epsilon_budget_micro": 0}
                connection.execute(sa.insert(t.device).values(**row))

    def start(self, policy: Policy) -> int:
        with writing(self.engine) as connection:
            return start_rollout(connection, self.shelf, NEW[:8], policy, actor=WHO, now_s=NOW_S)

    def command(self, event: Event) -> State:
        with writing(self.engine) as connection:
            return command(connection, self.shelf, 1, event, actor=WHO, now_s=NOW_S)

    def advance(self, now_s: int = NOW_S) -> str:
        advance(self.engine, self.shelf, period_s=60, now_s=now_s)
        with reading(self.engine) as connection:
            return str(connection.execute(sa.select(rollout.c.state)).scalar_one())

    def say(self, device_id: int, kind: str, **said: object) -> None:
        with writing(self.engine) as connection:
            detail = json.dumps(said)
            digest = hashlib.sha256(f"{device_id}{kind}{detail}".encode()).digest()
            row = {"device_id": device_id, "digest": digest, "kind": kind, "time_s": NOW_S, "detail": detail}
            connection.execute(sa.insert(t.event).values(**row))

    def asked(self) -> list[int]:
        with reading(self.engine) as connection:
            return [one.device_id for one in devices_of(connection, 1) if one.state != "waiting"]

    def log(self) -> list[audit.Entry]:
        with reading(self.engine) as connection:
            return audit.entries(connection)


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    return Fleet(tmp_path)


def test_a_start_asks_the_canary_alone(fleet: Fleet) -> None:
    assert fleet.start(Policy(waves=(0.2, 1.0))) == 1
    assert len(fleet.asked()) == 2
    with reading(fleet.engine) as connection:
        wants = [decode_want(row.payload) for row in connection.execute(sa.select(want))]
    assert {one.digest for one in wants} == {NEW}
    assert len(wants) == 2


def test_pause_resume_abort(fleet: Fleet) -> None:
    fleet.start(Policy())
    assert fleet.command(Event.PAUSE) is State.PAUSED
    with pytest.raises(FleetError, match="paused: it cannot pause"):
        fleet.command(Event.PAUSE)
    assert fleet.command(Event.RESUME) is State.RUNNING
    assert fleet.command(Event.ABORT) is State.ROLLING_BACK
    (device,) = fleet.asked()
    serial = fleet.shelf.custom_of(OLD.hex())
    assert serial is not None
    assert serial["serial"] == 4  # the old hash was put forward again, above the new one
    with reading(fleet.engine) as connection:
        wanted = decode_want(connection.execute(sa.select(want.c.payload)).scalar_one())
    assert (wanted.digest, wanted.is_back) == (OLD, True)
    assert fleet.advance() == "rolling back"
    fleet.say(device, "deploy", rollout=1, stage="back")
    assert fleet.advance() == "rolled back"
    with pytest.raises(FleetError, match="rolled back: it cannot abort"):
        fleet.command(Event.ABORT)
    said = [json.loads(entry.detail)["event"] for entry in fleet.log()]
    assert said == ["start", "pause", "resume", "abort", "all back"]


def test_the_freeze_switch(fleet: Fleet) -> None:
    fleet.start(Policy())
    with writing(fleet.engine) as connection:
        set_frozen(connection, frozen=True, actor=WHO, now_s=NOW_S)
    assert fleet.advance() == "frozen"
    with writing(fleet.engine) as connection:
        assert is_frozen(connection)
        set_frozen(connection, frozen=False, actor=WHO, now_s=NOW_S)
    assert fleet.advance() == "running"


def test_nothing_starts_while_the_freeze_switch_is_on(fleet: Fleet) -> None:
    with writing(fleet.engine) as connection:
        set_frozen(connection, frozen=True, actor=WHO, now_s=NOW_S)
    with pytest.raises(FleetError, match="freeze switch is on"):
        fleet.start(Policy())


@pytest.mark.parametrize("is_frozen_too", [False, True])
def test_a_wave_that_has_passed_waits_without_a_word_while_the_rollout_is_held(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch, *, is_frozen_too: bool
) -> None:
    monkeypatch.setattr("edgeml.fleet.rollout.driver.has_samples", lambda *_: True)
    fleet.start(Policy(waves=(0.2, 1.0), soak_s=0))
    for device in fleet.asked():
        fleet.say(device, "deploy", rollout=1, stage="confirmed")
    held = "frozen" if is_frozen_too else "paused"
    if is_frozen_too:
        with writing(fleet.engine) as connection:
            set_frozen(connection, frozen=True, actor=WHO, now_s=NOW_S)
    else:
        fleet.command(Event.PAUSE)
    assert fleet.advance() == held
    said = fleet.log()
    assert fleet.advance() == held
    assert fleet.log() == said
    assert len(fleet.asked()) == 2
    if is_frozen_too:
        with writing(fleet.engine) as connection:
            set_frozen(connection, frozen=False, actor=WHO, now_s=NOW_S)
        assert fleet.advance() == "running"
    else:
        fleet.command(Event.RESUME)
    assert fleet.advance() == "running"
    assert len(fleet.asked()) == 10


def test_silence_past_the_deadline_is_failure(fleet: Fleet) -> None:
    fleet.start(Policy(deadline_s=100))
    assert fleet.advance(NOW_S + 100) == "running"
    assert fleet.advance(NOW_S + 101) == "rolling back"


def test_an_attack_that_a_device_refused_is_in_the_audit_log(fleet: Fleet) -> None:
    fleet.start(Policy())
    (device,) = fleet.asked()
    fleet.say(device, "update_refused", rollout=1, stage="failed", reason="update refused: wrong key")
    assert fleet.advance() == "rolling back"
    entry = next(entry for entry in fleet.log() if entry.actor.startswith("device:acme/"))
    assert json.loads(entry.detail)["said"]["reason"] == "update refused: wrong key"


@pytest.mark.parametrize(
    "detail",
    [
        *("", "[]", "nothing", '{"rollout":"1","stage":"confirmed"}', '{"rollout":99,"stage":"failed"}'),
        *(
            f'{{"rollout":{2**63},"stage":"failed"}}',
            '{"rollout":1,"stage":["failed"]}',
            '{"rollout":true,"stage":"failed"}',
        ),
        *('{"rollout":1,"stage":"failed","reason":NaN}', '{"rollout":1,"stage":"failed","reason":"\\ud800"}'),
        "[" * 4096,
    ],
)
def test_what_a_device_makes_up_changes_nothing(fleet: Fleet, detail: str) -> None:
    fleet.start(Policy())
    (device,) = fleet.asked()
    with writing(fleet.engine) as connection:
        row = {"device_id": device, "digest": b"x", "kind": "rollback", "time_s": NOW_S, "detail": detail}
        connection.execute(sa.insert(t.event).values(**row))
    assert fleet.advance() == "running"
    with reading(fleet.engine) as connection:
        assert [one.state for one in devices_of(connection, 1)].count("wanted") == 1


def test_rollouts_that_cannot_begin(fleet: Fleet) -> None:
    with writing(fleet.engine) as connection, pytest.raises(FleetError, match="push it first"):
        start_rollout(connection, fleet.shelf, bytes(8), Policy(), actor=WHO, now_s=NOW_S)
    fleet.start(Policy())
    with pytest.raises(FleetError, match="under way"):
        fleet.start(Policy())
    with writing(fleet.engine) as connection, pytest.raises(FleetError, match="no rollout 7"):
        command(connection, fleet.shelf, 7, Event.PAUSE, actor=WHO, now_s=NOW_S)
