# SPDX-License-Identifier: Apache-2.0
"""Two places for a model on a device, and which of them counts: whatever is cut off, exactly one valid model is active.

    a.edgeml  b.edgeml      each written whole: temporary file, fsync, rename, fsync of the folder
    slots.json              the pointer: which slot is active, what is in each, whether the active one is on trial

A model on trial is counted before each try. A device that dies in it again and again finds the count at the next start and
goes back by itself, without a network.
"""

from __future__ import annotations

import contextlib
import hashlib
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from edgeml.artifact import canonical_json
from edgeml.errors import DeviceError
from edgeml.whole_file import write_whole_file

ATTEMPTS_MAX: Final = 3
NAMES: Final = ("a", "b")
POINTER: Final = "slots.json"


@dataclass(frozen=True, kw_only=True)
class Slot:
    """What is in a slot."""

    digest: str  # SHA-256 of the artifact, hexadecimal
    serial: int  # by which the fleet put it forward; 0: it came with the device
    rollout: int  # 0: none


@dataclass(frozen=True, kw_only=True)
class SlotState:
    """The pointer file as a value; each change of it gives the next value."""

    active: str  # a or b
    slots: dict[str, Slot | None]
    on_trial: bool = False  # the active one is not trusted yet; the other one is what was before
    attempts: int = 0  # tries of the trial that have begun
    serial_max: int = 0  # the highest that was ever active
    refused: tuple[int, ...] = ()  # rollouts that ended here with a way back; not tried again

    @property
    def current(self) -> Slot:
        """What is in the active slot."""
        slot = self.slots[self.active]
        assert slot is not None  # noqa: S101 - by construction
        return slot

    @property
    def other(self) -> str:
        """Name of the slot that is not active."""
        return NAMES[1 - NAMES.index(self.active)]

    @property
    def was_other_trusted(self) -> bool:
        """Whether the other slot has a model that ran before, and not one that was refused or never tried."""
        slot = self.slots[self.other]
        if slot is None:
            return False
        return self.on_trial or (slot.serial <= self.serial_max and slot.rollout not in self.refused)


class Slots:
    """The two slots in `folder`. Only one process may use it (the state directory of the device is locked)."""

    def __init__(self, folder: Path, *, factory: Path) -> None:
        """Open the slots; where there are none, the artifact `factory` becomes the first.

        An active model whose file is damaged gives way to the other one, if that is whole and was trusted, or to `factory`.

        Raises:
            DeviceError: the folder cannot be written, or there is no whole model at all.
        """
        self._folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self.state = self._load(factory)
        except OSError as error:
            raise DeviceError(f"slots {folder}: {error.strerror}; the folder must be writable") from error
        for leftover in folder.glob(".*"):  # temporary files of a write that was cut off
            with contextlib.suppress(OSError):
                leftover.unlink()

    @property
    def active_path(self) -> Path:
        """The artifact that counts."""
        return self._path(self.state.active)

    @property
    def other_path(self) -> Path:
        """The artifact in the other slot."""
        return self._path(self.state.other)

    def install(self, data: bytes, slot: Slot) -> Path:
        """Put an artifact in the slot that is not active; gives its path.

        Raises:
            DeviceError: the active model is on trial, and the other slot is the way back; or `data` is not what `slot` says.
            OSError: disk full.
        """
        if self.state.on_trial:
            raise DeviceError("a model is on trial: the other slot is the way back")
        if hashlib.sha256(data).hexdigest() != slot.digest:
            raise DeviceError("the artifact is not what its digest says")
        self._save(self._with_other(None))  # from here on nothing refers to the file that is overwritten
        write_whole_file(self.other_path, data)
        self._save(self._with_other(slot))
        return self.other_path

    def begin_trial(self) -> None:
        """Swap the pointer: what was installed is active, on trial, its first try counted."""
        candidate = self.state.slots[self.state.other]
        if candidate is None or self.state.on_trial:
            raise DeviceError("there is no model to try")
        self._save(replace(self.state, active=self.state.other, on_trial=True, attempts=1))

    def try_again(self) -> bool:
        """Count another try of the model on trial, durably; False, and back to the other, where it had its tries."""
        if not self.state.on_trial:
            return True
        if self.state.attempts >= ATTEMPTS_MAX:
            self.roll_back()
            return False
        self._save(replace(self.state, attempts=self.state.attempts + 1))
        return True

    def confirm(self) -> None:
        """The model on trial is trusted from now on."""
        serial_max = max(self.state.serial_max, self.state.current.serial)
        self._save(replace(self.state, on_trial=False, attempts=0, serial_max=serial_max))

    def roll_back(self) -> None:
        """The model on trial is not trusted: back to the one before, and its rollout is not tried again."""
        state = self.state
        if not state.on_trial:
            raise DeviceError("no model is on trial")
        refused = (*state.refused, state.current.rollout)
        serial_max = max(state.serial_max, state.current.serial)
        self._save(
            replace(
                state, active=state.other, on_trial=False, attempts=0, serial_max=serial_max, refused=refused[-100:]
            )
        )

    def refuse(self, rollout: int) -> None:
        """Do not try this rollout again."""
        self._save(replace(self.state, refused=(*self.state.refused, rollout)[-100:]))

    def _with_other(self, slot: Slot | None) -> SlotState:
        return replace(self.state, slots={**self.state.slots, self.state.other: slot})

    def _save(self, state: SlotState) -> None:
        document = {**asdict(state), "refused": list(state.refused), "version": 1}
        write_whole_file(self._folder / POINTER, canonical_json.dump(document))
        self.state = state

    def _load(self, factory: Path) -> SlotState:
        state = self._read_pointer()
        if state is not None and self._is_whole(state, state.active):
            return state
        # The medium has damaged the active one.
        if state is not None and state.was_other_trusted and self._is_whole(state, state.other):
            self._save(replace(state, active=state.other, on_trial=False, attempts=0))
            return self.state
        try:
            data = factory.read_bytes()
        except OSError as error:
            raise DeviceError(f"cannot read the model {factory}: {error.strerror}") from error
        write_whole_file(self._path("a"), data)
        first = Slot(digest=hashlib.sha256(data).hexdigest(), serial=0, rollout=0)
        self._save(SlotState(active="a", slots={"a": first, "b": None}, serial_max=state.serial_max if state else 0))
        return self.state

    def _read_pointer(self) -> SlotState | None:
        try:
            return _state_of(canonical_json.load((self._folder / POINTER).read_bytes()))
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None

    def _is_whole(self, state: SlotState, name: str) -> bool:
        slot = state.slots[name]
        try:
            return slot is not None and hashlib.sha256(self._path(name).read_bytes()).hexdigest() == slot.digest
        except OSError:
            return False

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.edgeml"


def _state_of(document: dict[str, Any]) -> SlotState:
    slots = {name: None if (row := document["slots"][name]) is None else Slot(**row) for name in NAMES}
    if document["version"] != 1 or document["active"] not in NAMES or slots[document["active"]] is None:
        raise ValueError("not a pointer of this version")
    return SlotState(
        active=document["active"],
        slots=slots,
        on_trial=bool(document["on_trial"]),
        attempts=int(document["attempts"]),
        serial_max=int(document["serial_max"]),
        refused=tuple(document["refused"]),
    )
