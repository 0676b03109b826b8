# SPDX-License-Identifier: Apache-2.0
"""The demo's side of the fleet: `edgeml fleet serve` with a broker inside as a process, asked over its own HTTP API."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.request import Request, urlopen

from edgeml.demo.processes import Process
from edgeml.errors import FleetError

EDGEML: Final = (sys.executable, "-m", "edgeml.cli.main")
START_TIMEOUT_S: Final = 40.0
COMMAND_TIMEOUT_S: Final = 40.0
HTTP_TIMEOUT_S: Final = 30.0
END_GRACE_S: Final = 6.0
POLL_S: Final = 0.05

CONFIG: Final = """\
[drift]
period_s = {period_s}

[[rule]]
name = "camera-drift"
owner = "you"
playbook = "Clean the lens, straighten the camera."
open_after = 2
"""


@dataclass(frozen=True, kw_only=True)
class FleetDevice:
    """What the fleet knows of a device."""

    windows_stored: int = 0
    unaccounted: int = 0
    alarm_features: tuple[str, ...] = ()  # of the open alarms, worst first; none where no alarm is open
    worst_drift: str = ""  # feature with the largest PSI in the newest period, for people

    @property
    def alarm(self) -> bool:
        """Whether an alarm is open."""
        return bool(self.alarm_features)


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """A fleet that serves; ports are free ones that the kernel chose."""

    url: str  # of the dashboard
    broker: str
    token: str = field(repr=False)
    config: Path
    process: Process = field(repr=False)

    @classmethod
    def start(cls, work: Path, *, period_s: int) -> Fleet:
        """Start broker, collector, store and dashboard in the folder `work`; returns when all are up.

        Raises:
            ProcessDiedError: the process ended, with the end of its log.
            FleetError: it was not up in time.
        """
        config, ready_file = work / "fleet.toml", work / "fleet.ready"
        config.write_text(CONFIG.format(period_s=period_s), encoding="utf-8")
        options = ["--config", str(config), "--embedded-broker", "--mqtt-port", "0", "--http-port", "0"]
        process = Process(
            "fleet", [*EDGEML, "fleet", "serve", *options, "--ready-file", str(ready_file)], work / "fleet.log"
        )
        try:
            ready = _wait_for(ready_file, process)
        except BaseException:
            process.end(END_GRACE_S)
            raise
        return cls(
            url=ready["dashboard_url"],
            broker=f"mqtt://{ready['mqtt_host']}:{ready['mqtt_port']}",
            token=Path(ready["token_file"]).read_text(encoding="utf-8").strip(),
            config=config,
            process=process,
        )

    @property
    def address_with_token(self) -> str:
        """Return the dashboard's address as a person opens it; the browser keeps the token in a cookie."""
        return f"{self.url}?token={self.token}"

    @property
    def update_folder(self) -> Path:
        """Return the folder of the update repository."""
        return self.config.parent / "updates"

    @property
    def update_url(self) -> str:
        """Return the address where devices fetch models."""
        return f"{self.url}updates"

    def roll_out(self, artifact: Path, policy: Path) -> int:
        """Begin a rollout with `edgeml fleet rollout start`; its id.

        Raises:
            FleetError: the command failed.
        """
        said = self._command("rollout", "start", str(artifact), "--policy", str(policy), "--json")
        return int(json.loads(said)["rollout"])

    def rollout(self, number: int) -> dict[str, Any]:
        """Return a rollout as the API shows it.

        Raises:
            FleetError: no good answer.
        """
        known = json.loads(self.get("/api/v1/rollouts"))["rollouts"]
        found: dict[str, Any] = next(one for one in known if one["id"] == number)
        return found

    def audit_is_intact(self) -> bool:
        """Return whether `edgeml fleet audit verify` finds nothing."""
        return bool(json.loads(self._command("audit", "verify", "--json"))["intact"])

    def push(self, artifact: Path, card: Path) -> None:
        """Sign a model with its card and make it known with `edgeml fleet model push`.

        Raises:
            FleetError: the command failed.
        """
        self._command("model", "push", str(artifact), "--card", str(card))

    def provision(self, keys: Mapping[str, str]) -> None:
        """Make devices known with `edgeml fleet provision`: name -> public key.

        Raises:
            FleetError: the command failed.
        """
        self._command("provision", *(f"{name}={public}" for name, public in keys.items()))

    def devices(self) -> dict[str, FleetDevice]:
        """Return all devices that have reported, by name.

        Raises:
            ProcessDiedError: the fleet ended by itself.
        """
        self.process.check_alive()
        state = json.loads(self.get("/api/v1/overview"))
        return {row["device"]: _device_of(row, state) for row in state["devices"]}

    def get(self, path: str) -> str:
        """Return what the dashboard serves at `path`, for whoever holds the token.

        Raises:
            FleetError: no good answer in time.
        """
        address = self.url.rstrip("/") + path
        request = Request(address, headers={"Authorization": f"Bearer {self.token}"})  # noqa: S310  http, our own
        try:
            with urlopen(request, timeout=HTTP_TIMEOUT_S) as response:  # noqa: S310
                text: str = response.read().decode()
        except OSError as error:  # URLError, HTTPError and timeouts are
            raise FleetError(f"the fleet does not answer at {address}: {error}; {self.process.last_lines()}") from error
        return text

    def check_alive(self) -> None:
        """Raise ProcessDiedError if the fleet ended by itself."""
        self.process.check_alive()

    def end(self) -> None:
        """End the process, however it stands."""
        self.process.end(END_GRACE_S)

    def _command(self, *arguments: str) -> str:
        command = [*EDGEML, "fleet", *arguments, "--config", str(self.config)]
        done = subprocess.run(  # noqa: S603  this interpreter, our own command line
            command, capture_output=True, text=True, timeout=COMMAND_TIMEOUT_S, check=False
        )
        if done.returncode != 0:
            raise FleetError(f"edgeml fleet {' '.join(arguments)} failed: {done.stderr.strip()}")
        return done.stdout


def _wait_for(ready_file: Path, process: Process) -> dict[str, Any]:
    """Return what the fleet writes when all of it is up."""
    give_up_s = time.monotonic() + START_TIMEOUT_S
    while not ready_file.exists():
        process.check_alive()
        if time.monotonic() > give_up_s:
            raise FleetError(f"the fleet was not up after {START_TIMEOUT_S:g} s: {process.last_lines()}")
        time.sleep(POLL_S)
    ready: dict[str, Any] = json.loads(ready_file.read_text(encoding="utf-8"))
    return ready


def _device_of(row: dict[str, Any], state: dict[str, Any]) -> FleetDevice:
    alarms = [a for a in state["alarms"] if a["device"] == row["device"] and a["closed_s"] is None]
    drift = [one for one in state["drift"] if one["device"] == row["device"]]
    newest_s = max((one["period_start_s"] for one in drift), default=0)
    worst = max((one for one in drift if one["period_start_s"] == newest_s), key=lambda one: one["psi"], default=None)
    return FleetDevice(
        windows_stored=row["book"]["stored"],
        unaccounted=row["book"]["unaccounted"],
        alarm_features=tuple(finding["feature"] for alarm in alarms for finding in alarm["findings"]),
        worst_drift=f"{worst['feature']} PSI {worst['psi']:.2f}" if worst else "",
    )
