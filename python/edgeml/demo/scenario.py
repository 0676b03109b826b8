# SPDX-License-Identifier: Apache-2.0
"""The demo from end to end: convert, fleet, devices, drift, alarm, retrain, rollouts, closed books, summary."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import onnxruntime

import edgeml
from edgeml.demo import digits
from edgeml.demo.camera import FAULTS
from edgeml.demo.device import Device, DeviceSetup
from edgeml.demo.fleet import Fleet, FleetDevice
from edgeml.demo.progress import DeviceStatus
from edgeml.demo.releases import release, write_card
from edgeml.demo.snapshot import write_snapshot
from edgeml.demo.summary import Accuracy, DeviceFigures, Summary
from edgeml.errors import EdgemlError, UsageError
from edgeml.telemetry.device_key import DeviceKey, public_key_text
from edgeml.telemetry.state_directory import KEY_FILE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import ExitStack
    from pathlib import Path

    from edgeml.demo.progress import Progress

DEVICES_MIN: Final = len(FAULTS) + 1  # at least one whose camera stays good
DEVICES_MAX: Final = 20
WINDOW_S: Final = 4  # and the period of the drift test
EVENTS_PER_S: Final = 150  # of one device: 600 a window
EPSILON_PER_WINDOW: Final = 1
HEALTHY_WINDOWS: Final = 4  # of each device in the store, before cameras get worse
LAST_WINDOWS: Final = 2  # of each device after the alarms: time for a false one
POLL_S: Final = 0.25
WINDOWS_TIMEOUT_S: Final = 90.0
ALARM_TIMEOUT_S: Final = 60.0
BOOKS_TIMEOUT_S: Final = 30.0


class DemoError(EdgemlError):
    """The demo did not get on; the sentence says where it stands."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """What can be chosen.

    Raises:
        UsageError: `devices` is not in DEVICES_MIN..DEVICES_MAX, or the dashboard's folder is not there.
    """

    dashboard: Path  # file to write
    devices: int = 5

    def __post_init__(self) -> None:
        if not DEVICES_MIN <= self.devices <= DEVICES_MAX:
            raise UsageError(f"--devices {self.devices}: {DEVICES_MIN} to {DEVICES_MAX} devices are possible")
        if not self.dashboard.parent.is_dir():
            raise UsageError(f"--dashboard {self.dashboard}: there is no folder {self.dashboard.parent}")


def play(options: Options, work: Path, progress: Progress, stack: ExitStack) -> tuple[Summary, Fleet]:
    """Play the scenario in the empty folder `work`. `stack` ends every process; the fleet serves until then.

    Raises:
        EdgemlError: a process died, or the demo did not get on in time.
    """
    started_s = time.monotonic()
    artifact = work / "digits.edgeml"
    accuracy = _convert(artifact, progress)
    fleet = Fleet.start(work, period_s=WINDOW_S)
    stack.callback(fleet.end)
    progress.step(f"fleet is up, broker and store with it; look on: {fleet.address_with_token}")
    fleet.push(artifact, write_card(work / "digits.toml", "high"))
    devices = _start_devices(options.devices, fleet, artifact, work, stack)
    progress.step(f"{len(devices)} devices look at {EVENTS_PER_S} digits a second each, a window is {WINDOW_S} s")

    progress.step(f"all cameras are good until each device has {HEALTHY_WINDOWS} windows in the store")
    scene = _Scene(devices, fleet, progress)
    scene.wait_for_windows(HEALTHY_WINDOWS)
    alarm_after_s = _drift(scene)
    releases = release(fleet, artifact, work, progress, scene.look)
    scene.wait_for_windows(scene.fewest_windows() + LAST_WINDOWS)
    write_snapshot(fleet, options.dashboard)  # while the devices are there and whole windows are on it

    progress.step("the devices stop and hand over their last windows")
    for device in devices:
        device.stop()
    said = {device.name: device.figures() for device in devices}
    scene.until(lambda known: _are_closed(said, known), BOOKS_TIMEOUT_S)
    known = fleet.devices()
    figures = tuple(_figures(device, said[device.name], known.get(device.name, FleetDevice())) for device in devices)
    summary = Summary(
        devices=figures,
        accuracy=accuracy,
        artifact_bytes=artifact.stat().st_size,
        epsilon_per_window=EPSILON_PER_WINDOW,
        window_s=WINDOW_S,
        alarm_after_s=alarm_after_s,
        releases=releases,
        elapsed_s=time.monotonic() - started_s,
        dashboard=str(options.dashboard),
    )
    return summary, fleet


class _Scene:
    """Looks at devices and fleet, and shows them, until something is true."""

    def __init__(self, devices: Sequence[Device], fleet: Fleet, progress: Progress) -> None:
        self.devices = devices
        self.progress = progress
        self._fleet = fleet

    def until(self, holds: Callable[[Mapping[str, FleetDevice]], bool], timeout_s: float) -> bool:
        """Return True as soon as `holds` does for what the fleet knows, False after the timeout."""
        give_up_s = time.monotonic() + timeout_s
        while True:
            known = self.look()
            if len(known) == len(self.devices) and holds(known):
                return True
            if time.monotonic() > give_up_s:
                return False
            time.sleep(POLL_S)

    def look(self) -> Mapping[str, FleetDevice]:
        """Return what the fleet knows, and show it."""
        known = self._fleet.devices()
        self.progress.devices([_status(device, known.get(device.name, FleetDevice())) for device in self.devices])
        return known

    def fewest_windows(self) -> int:
        """Return the number of windows in the store of the device that has fewest there."""
        return min((known.windows_stored for known in self._fleet.devices().values()), default=0)

    def wait_for_windows(self, count: int) -> None:
        """Wait until every device has `count` windows in the store.

        Raises:
            DemoError: it took longer than WINDOWS_TIMEOUT_S.
        """
        if not self.until(lambda known: min(d.windows_stored for d in known.values()) >= count, WINDOWS_TIMEOUT_S):
            raise DemoError(
                f"after {WINDOWS_TIMEOUT_S:g} s a device has only {self.fewest_windows()} of {count} windows in the store"
            )


def _convert(artifact: Path, progress: Progress) -> Accuracy:
    progress.step("converting a float network for handwritten digits to int8")
    calibration, test = digits.load("calibration"), digits.load("test")
    edgeml.convert(digits.ONNX_PATH, calibration={digits.INPUT_NAME: calibration.x}).save(artifact)
    (probability,) = edgeml.InferenceSession(artifact).run(None, {digits.INPUT_NAME: test.x})
    reference = onnxruntime.InferenceSession(digits.ONNX_PATH, providers=["CPUExecutionProvider"])
    (expected,) = reference.run(None, {digits.INPUT_NAME: test.x})
    int8, float32 = probability.argmax(axis=1), expected.argmax(axis=1)
    return Accuracy(
        samples=len(test.y),
        float32=float((float32 == test.y).mean()),
        int8=float((int8 == test.y).mean()),
        agreement=float((int8 == float32).mean()),
    )


def _start_devices(count: int, fleet: Fleet, artifact: Path, work: Path, stack: ExitStack) -> list[Device]:
    setup = DeviceSetup(
        artifact=artifact,
        broker=fleet.broker,
        update_url=fleet.update_url,
        update_folder=fleet.update_folder,
        work=work,
        window_s=WINDOW_S,
        events_per_s=EVENTS_PER_S,
        epsilon_per_window=EPSILON_PER_WINDOW,
    )
    faults = list(FAULTS)
    names = [f"camera-{number}" for number in range(1, count + 1)]
    keys = {name: DeviceKey.create(work / name / KEY_FILE) for name in names}  # as edgeml device init does
    fleet.provision({name: public_key_text(key.public) for name, key in keys.items()})
    devices = []
    for number, name in enumerate(names):
        place = number - (count - len(faults))  # the last ones get a fault each
        device = Device(name, faults[place] if place >= 0 else None, setup)
        stack.callback(device.end)
        devices.append(device)
    return devices


def _drift(scene: _Scene) -> float | None:
    """Let the faults begin and wait for the alarms; return the seconds until the last one, None if one is missing."""
    drifting = [device for device in scene.devices if device.fault]
    began_s = time.monotonic()
    for device in drifting:
        device.begin_drift()
        scene.progress.step(f"{device.name}: {device.fault}, the pictures get worse")
    is_complete = scene.until(lambda known: all(known[device.name].alarm for device in drifting), ALARM_TIMEOUT_S)
    return time.monotonic() - began_s if is_complete else None


def _are_closed(said: Mapping[str, dict[str, Any]], known: Mapping[str, FleetDevice]) -> bool:
    return all(known[name].windows_stored == figures["windows_produced"] for name, figures in said.items())


def _status(device: Device, known: FleetDevice) -> DeviceStatus:
    status = device.status()
    return DeviceStatus(
        name=device.name,
        camera=device.fault if device.fault and device.is_drifting else "good",
        inferences=status["inferences"],
        windows_produced=status["windows_produced"],
        windows_stored=known.windows_stored,
        worst=known.worst_drift,
        alarm=known.alarm,
    )


def _figures(device: Device, said: dict[str, Any], known: FleetDevice) -> DeviceFigures:
    return DeviceFigures(
        name=device.name,
        fault=device.fault,
        windows_stored=known.windows_stored,
        unaccounted=known.unaccounted,
        alarm=known.alarm,
        alarm_features=known.alarm_features,
        **said,
    )
