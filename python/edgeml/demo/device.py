# SPDX-License-Identifier: Apache-2.0
"""The demo's side of a simulated device: starts its process, tells it when to drift and when to end."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from edgeml.demo.processes import Process, ProcessDiedError

if TYPE_CHECKING:
    from pathlib import Path

EPSILON_OF_DAY: Final = 100
STOP_TIMEOUT_S: Final = 30.0
END_GRACE_S: Final = 2.0


@dataclass(frozen=True, kw_only=True)
class DeviceSetup:
    """What all devices of a demo have in common."""

    artifact: Path
    update_url: str  # of the update repository
    update_folder: Path  # of the fleet: its root and the devices' token, which provisioning would carry to a device
    broker: str  # mqtt://host:port
    work: Path  # state directories and logs go here
    window_s: int
    events_per_s: int
    epsilon_per_window: int


class Device:
    """One running device. `fault` is what will become wrong with its camera, `is_drifting` whether it has begun."""

    def __init__(self, name: str, fault: str | None, setup: DeviceSetup) -> None:
        """Start the process."""
        self.name = name
        self.fault = fault
        self.is_drifting = False
        self._is_stopped = False
        options = {
            "--device": name,
            "--model": setup.artifact,
            "--state": setup.work / name,
            "--broker": setup.broker,
            "--update-url": setup.update_url,
            "--update-root": setup.update_folder / "metadata" / "1.root.json",
            "--update-token": setup.update_folder / "device.token",
            "--window-s": setup.window_s,
            "--events-per-s": setup.events_per_s,
            "--epsilon-of-window": setup.epsilon_per_window,
            "--epsilon-of-day": EPSILON_OF_DAY,
            **({"--fault": fault} if fault else {}),
        }
        words = [str(word) for option in options.items() for word in option]
        command = [sys.executable, "-m", "edgeml.demo.device_process", *words]
        self._process = Process(name, command, setup.work / f"{name}.log")

    def begin_drift(self) -> None:
        """Let the fault begin."""
        self.is_drifting = True
        self._process.say("drift")

    def stop(self) -> None:
        """Let the device end its work; figures() waits for it."""
        self._is_stopped = True
        self._process.close_input()

    def status(self) -> dict[str, Any]:
        """Return `inferences` and `windows_produced` as the device last told them.

        Raises:
            ProcessDiedError: the device ended by itself.
        """
        if not self._is_stopped:
            self._process.check_alive()
        told = self._process.newest("figures") or self._process.newest("status")
        return told or {"inferences": 0, "windows_produced": 0}

    def figures(self) -> dict[str, Any]:
        """Return what the device tells at its end (device_process.py).

        Raises:
            ProcessDiedError: it did not end well.
        """
        code = self._process.wait(STOP_TIMEOUT_S)
        figures = self._process.newest("figures")
        if code != 0 or figures is None:
            how = "did not end" if code is None else f"ended with code {code}"
            raise ProcessDiedError(f"{self.name} {how}: {self._process.last_lines()}")
        return {name: value for name, value in figures.items() if name != "event"}

    def end(self) -> None:
        """End the process, however it stands."""
        self._process.end(END_GRACE_S)
