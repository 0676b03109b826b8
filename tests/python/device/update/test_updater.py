# SPDX-License-Identifier: Apache-2.0
"""An updater between a slot, a source of models and a host: confirmed, refused, rolled back without a network."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeml.device.update.repository import FetchedModel, UpdateRefusedError
from edgeml.device.update.slots import Slots
from edgeml.device.update.updater import Updater, open_active_session
from edgeml.telemetry.want import Want, encode_want

OLD, NEW = b"old", b"new"
TIMEOUT_S = 20.0


class Session:
    """What the updater needs of a session; `answer` is its output for any input."""

    telemetry_bytes = b"{}"

    def __init__(self, path: Path, answers: dict[bytes, Any]) -> None:
        self.data = path.read_bytes()
        self.answer = answers[self.data]

    def get_inputs(self) -> list[Any]:
        return []

    def get_outputs(self) -> list[Any]:
        from edgeml.session import TensorSpec

        return [TensorSpec("y", [1, 2], "tensor(float)", np.dtype(np.float32), 0.0, 0)]

    def run(self, _names: None, _feed: dict[str, Any]) -> list[Any]:
        return [self.answer]


class Host:
    """Runs what it is told to, and remembers what it told the fleet."""

    def __init__(self, session: Any) -> None:
        self.session = session
        self.told: list[tuple[str, dict[str, Any]]] = []

    def replace_session(self, session: Any) -> float:
        self.session = session
        return time.perf_counter()

    def tell(self, kind: str, detail: str) -> None:
        self.told.append((kind, json.loads(detail)))


class Rig:
    """An updater that runs, and inferences to feed it with."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, new_answer: Any, serial: int = 5) -> None:
        factory = folder / "factory.edgeml"
        factory.write_bytes(OLD)
        right = np.array([[0.9, 0.1]], np.float32)
        self.mismatches: list[str] = []
        self.refusal: str | None = None
        self.serial = serial
        monkeypatch.setattr("edgeml.device.update.updater.check_golden_vectors", lambda _session: (4, self.mismatches))
        answers = {OLD: right, NEW: new_answer}
        self.slots = Slots(folder / "slots", factory=factory)
        load: Callable[[Path], Any] = lambda path: Session(path, answers)  # noqa: E731
        session, _ = open_active_session(self.slots, load)
        self.host = Host(session)
        self.updater = Updater(self.slots, self, self.host, session, load=load)
        self.updater.start()

    def fetch(self, digest: str) -> FetchedModel:
        if self.refusal:
            raise UpdateRefusedError(self.refusal, "as the test wants")
        data = NEW if digest == hashlib.sha256(NEW).hexdigest() else OLD
        return FetchedModel(data=data, digest=digest, serial=self.serial)

    def play(
        self, want: Want, *, latency_us: Callable[[bytes], float] = lambda _data: 10.0
    ) -> tuple[str, dict[str, Any]]:
        """Give the want, run inferences until the updater has told its end."""
        before = len(self.host.told)
        for _ in range(50):
            self.updater.saw({}, {"y": self.host.session.answer}, latency_us(self.host.session.data))
        self.updater.want(encode_want(want))
        deadline = time.monotonic() + TIMEOUT_S
        while len(self.host.told) == before and time.monotonic() < deadline:
            self.updater.saw({}, {"y": self.host.session.answer}, latency_us(self.host.session.data))
            time.sleep(0.001)
        self.updater.stop()
        return self.host.told[before]


def want(data: bytes = NEW, **changes: Any) -> Want:
    values = {"rollout": 7, "digest": hashlib.sha256(data).digest(), "shadow_inferences": 20, "error_ppm": 10_000}
    return Want(**{**values, "shadow_disagreement_ppm": 100_000, "probation_inferences": 50, **changes})


RIGHT = np.array([[0.8, 0.2]], np.float32)
OTHER = np.array([[0.2, 0.8]], np.float32)
BROKEN = np.array([[np.nan, 0.1]], np.float32)


def test_a_good_model_is_confirmed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig(tmp_path, monkeypatch, RIGHT)
    kind, said = rig.play(want())
    assert (kind, said["stage"], said["rollout"]) == ("deploy", "confirmed", 7)
    assert rig.host.session.data == NEW
    assert (rig.slots.state.on_trial, rig.slots.state.serial_max) == (False, 5)
    assert rig.updater.activation_ms > 0


def test_other_decisions_end_in_the_shadow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig(tmp_path, monkeypatch, OTHER)
    kind, said = rig.play(want())
    assert (kind, said["stage"], said["reason"]) == ("rollback", "failed", "shadow: too many other decisions")
    assert rig.host.session.data == OLD
    assert rig.slots.state.refused == (7,)


def test_outputs_that_are_no_numbers_end_in_probation_and_the_old_model_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = Rig(tmp_path, monkeypatch, BROKEN)
    _, said = rig.play(want(shadow_inferences=0))
    assert said["reason"] == "probation: outputs are not finite"
    assert rig.host.session.data == OLD
    assert rig.slots.active_path.read_bytes() == OLD


def test_a_slow_model_ends_in_probation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig(tmp_path, monkeypatch, RIGHT)
    _, said = rig.play(want(latency_ratio_milli=2000), latency_us=lambda data: 10.0 if data == OLD else 50.0)
    assert said["reason"] == "probation: too slow"
    assert rig.host.session.data == OLD


def test_golden_vectors_that_differ_are_never_active(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig(tmp_path, monkeypatch, RIGHT)
    rig.mismatches = ["one"]
    _, said = rig.play(want())
    assert said["reason"] == "golden vectors differ"
    assert rig.host.session.data == OLD


@pytest.mark.parametrize("reason", ["rollback", "freeze", "mix-and-match", "endless data", "wrong key", "tampered"])
def test_an_attack_is_told_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: str) -> None:
    rig = Rig(tmp_path, monkeypatch, RIGHT)
    rig.refusal = reason
    kind, said = rig.play(want())
    assert (kind, said["stage"], said["reason"]) == ("update_refused", "failed", f"update refused: {reason}")
    assert rig.host.session.data == OLD


def test_an_old_serial_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig(tmp_path, monkeypatch, RIGHT)
    rig.play(want())
    again = Rig(tmp_path, monkeypatch, RIGHT, serial=4)
    kind, said = again.play(want(OLD, rollout=8))
    assert (kind, said["reason"]) == ("update_refused", "update refused: rollback")
    assert again.host.session.data == NEW


def test_a_way_back_needs_no_proof(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig(tmp_path, monkeypatch, RIGHT)
    rig.play(want())
    again = Rig(tmp_path, monkeypatch, RIGHT, serial=6)
    kind, said = again.play(want(OLD, is_back=True))
    assert (kind, said["stage"]) == ("deploy", "back")
    assert again.host.session.data == OLD
