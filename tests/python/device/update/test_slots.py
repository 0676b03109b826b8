# SPDX-License-Identifier: Apache-2.0
"""Two slots: whatever is cut off, exactly one valid model is active."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from edgeml.device.update.slots import ATTEMPTS_MAX, Slot, Slots
from edgeml.errors import DeviceError
from support.cutting_disk import cut_at

OLD, NEW, NEWER = b"old" * 30_000, b"new" * 30_001, b"newer" * 20_000


def slot_of(data: bytes, serial: int) -> Slot:
    return Slot(digest=hashlib.sha256(data).hexdigest(), serial=serial, rollout=serial)


@pytest.fixture
def factory(tmp_path: Path) -> Path:
    path = tmp_path / "factory.edgeml"
    path.write_bytes(OLD)
    return path


def active(folder: Path, factory: Path) -> bytes:
    """What a device that starts now would run; its digest is checked."""
    slots = Slots(folder, factory=factory)
    data = slots.active_path.read_bytes()
    assert hashlib.sha256(data).hexdigest() == slots.state.current.digest
    return data


def test_the_model_of_the_device_is_the_first(tmp_path: Path, factory: Path) -> None:
    assert active(tmp_path / "slots", factory) == OLD
    factory.unlink()
    assert active(tmp_path / "slots", factory) == OLD


def test_a_trial_that_ends_well(tmp_path: Path, factory: Path) -> None:
    slots = Slots(tmp_path / "slots", factory=factory)
    slots.install(NEW, slot_of(NEW, 5))
    assert active(tmp_path / "slots", factory) == OLD
    slots.begin_trial()
    assert active(tmp_path / "slots", factory) == NEW
    slots.confirm()
    again = Slots(tmp_path / "slots", factory=factory)
    assert (again.state.on_trial, again.state.serial_max, again.state.current) == (False, 5, slot_of(NEW, 5))
    again.install(NEWER, slot_of(NEWER, 6))
    again.begin_trial()
    assert active(tmp_path / "slots", factory) == NEWER


def test_a_trial_that_ends_badly(tmp_path: Path, factory: Path) -> None:
    slots = Slots(tmp_path / "slots", factory=factory)
    slots.install(NEW, slot_of(NEW, 5))
    slots.begin_trial()
    slots.roll_back()
    again = Slots(tmp_path / "slots", factory=factory)
    assert active(tmp_path / "slots", factory) == OLD
    assert (again.state.serial_max, again.state.refused) == (5, (5,))


def test_a_model_that_kills_the_device_is_left_after_its_tries(tmp_path: Path, factory: Path) -> None:
    slots = Slots(tmp_path / "slots", factory=factory)
    slots.install(NEW, slot_of(NEW, 5))
    slots.begin_trial()
    for attempt in range(2, ATTEMPTS_MAX + 1):  # each time the process dies after this
        slots = Slots(tmp_path / "slots", factory=factory)
        assert slots.try_again()
        assert slots.state.attempts == attempt
        assert active(tmp_path / "slots", factory) == NEW
    slots = Slots(tmp_path / "slots", factory=factory)
    assert not slots.try_again()
    assert active(tmp_path / "slots", factory) == OLD
    assert slots.try_again()  # nothing is on trial any more


def test_the_way_back_is_not_overwritten(tmp_path: Path, factory: Path) -> None:
    slots = Slots(tmp_path / "slots", factory=factory)
    with pytest.raises(DeviceError, match="no model to try"):
        slots.begin_trial()
    with pytest.raises(DeviceError, match="not what its digest says"):
        slots.install(NEW, slot_of(OLD, 5))
    slots.install(NEW, slot_of(NEW, 5))
    slots.begin_trial()
    with pytest.raises(DeviceError, match="way back"):
        slots.install(NEWER, slot_of(NEWER, 6))
    with pytest.raises(DeviceError, match="no model to try"):
        slots.begin_trial()


def test_a_damaged_model_gives_way_to_one_that_was_trusted(tmp_path: Path, factory: Path) -> None:
    slots = Slots(tmp_path / "slots", factory=factory)
    slots.install(NEW, slot_of(NEW, 5))
    slots.begin_trial()
    slots.confirm()
    slots.active_path.write_bytes(NEW[1:])
    assert active(tmp_path / "slots", factory) == OLD


@pytest.mark.parametrize("step", ["installed", "refused", "rolled back"])
def test_a_damaged_model_never_gives_way_to_one_that_was_not(tmp_path: Path, factory: Path, step: str) -> None:
    slots = Slots(tmp_path / "slots", factory=factory)
    slots.install(NEW, slot_of(NEW, 5))
    if step == "refused":
        slots.refuse(5)
    elif step == "rolled back":
        slots.begin_trial()
        slots.roll_back()
    slots.active_path.write_bytes(OLD[1:])
    assert active(tmp_path / "slots", factory) == OLD


def _update(folder: Path, factory: Path) -> None:
    slots = Slots(folder, factory=factory)
    slots.install(NEW, slot_of(NEW, 5))
    slots.begin_trial()
    slots.confirm()


def _way_back(folder: Path, factory: Path) -> None:
    slots = Slots(folder, factory=factory)
    slots.install(NEW, slot_of(NEW, 5))
    slots.begin_trial()
    slots.roll_back()
    slots.install(NEWER, slot_of(NEWER, 6))
    slots.begin_trial()
    slots.confirm()


@pytest.mark.parametrize(
    ("work", "last", "forgets"), [(_update, NEW, False), (_update, NEW, True), (_way_back, NEWER, True)]
)
def test_power_cut_at_every_operation(
    tmp_path: Path, factory: Path, work: Callable[[Path, Path], None], last: bytes, *, forgets: bool
) -> None:
    n = 0
    while True:
        n += 1
        folder = tmp_path / f"slots-{n}"
        Slots(folder, factory=factory)
        if not cut_at(n, lambda folder=folder: work(folder, factory), forgets=forgets):  # type: ignore[misc]
            break
        assert active(folder, factory) in (OLD, NEW, NEWER)
        slots = Slots(folder, factory=factory)
        if slots.state.on_trial:
            other = slots.other_path.read_bytes()
            way_back = slots.state.slots[slots.state.other]
            assert way_back is not None
            assert hashlib.sha256(other).hexdigest() == way_back.digest
            slots.roll_back()
        work(folder, factory)  # whatever was left, the next update works
        assert active(folder, factory) == last
    assert n > 20  # 3 writes and more, 6 operations each
    assert active(folder, factory) == last


@pytest.mark.parametrize("forgets", [False, True])
def test_power_cut_at_the_first_start(tmp_path: Path, factory: Path, *, forgets: bool) -> None:
    n = 1
    while cut_at(n, lambda n=n: Slots(tmp_path / f"s{n}", factory=factory) and None, forgets=forgets):  # type: ignore[misc]
        assert active(tmp_path / f"s{n}", factory) == OLD
        n += 1
    assert n > 8


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"version":2}', bytes(100)])
def test_a_pointer_that_the_medium_has_damaged(tmp_path: Path, factory: Path, damage: bytes) -> None:
    _update(tmp_path / "slots", factory)
    (tmp_path / "slots" / "slots.json").write_bytes(damage)
    assert active(tmp_path / "slots", factory) == OLD  # the model of the device


def test_a_model_that_the_medium_has_damaged(tmp_path: Path, factory: Path) -> None:
    _update(tmp_path / "slots", factory)
    slots = Slots(tmp_path / "slots", factory=factory)
    slots.active_path.write_bytes(NEW[:-1])
    assert active(tmp_path / "slots", factory) == OLD
    (tmp_path / "slots" / "a.edgeml").unlink()
    (tmp_path / "slots" / "b.edgeml").unlink()
    assert active(tmp_path / "slots", factory) == OLD
    factory.unlink()
    (tmp_path / "slots" / "a.edgeml").unlink()
    with pytest.raises(DeviceError, match="cannot read the model"):
        active(tmp_path / "slots", factory)
