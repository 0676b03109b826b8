# SPDX-License-Identifier: Apache-2.0
"""What the person at the device wants to know: budget left, windows that wait, last ack, connection, model.

Budget and windows come from the spool's file, which is only read. What the running process alone knows stands in a small
file that is written at its start, and when the connection comes or goes; never for a window, to spare the flash.
"""

from __future__ import annotations

import json
import sqlite3
import time
from contextlib import closing
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

from edgeml.errors import DeviceError
from edgeml.privacy.budget import MICRO
from edgeml.privacy.ledger import DAY_S, read_days
from edgeml.telemetry.state_directory import SPOOL_FILE, is_in_use

if TYPE_CHECKING:
    from pathlib import Path

RUNNING_FILE: Final = "running.json"


@dataclass(frozen=True, kw_only=True)
class Running:
    """What a process says of itself. `since` is the unix time of the last change of the connection."""

    device: str
    tenant: str
    broker: str
    model_id: str
    model_name: str
    isa: str
    edgeml_version: str
    is_connected: bool
    since: int

    def write(self, state: Path) -> None:
        """Write it beside the spool, without fsync: after a power cut nobody runs."""
        half = state / f".{RUNNING_FILE}"
        half.write_text(json.dumps(asdict(self)), encoding="utf-8")
        half.replace(state / RUNNING_FILE)


@dataclass(frozen=True, kw_only=True)
class DeviceStatus:
    """Where a device stands. `running` is what the process said last, None if there never was one."""

    is_running: bool
    running: Running | None
    epoch: str
    windows_produced: int
    windows_waiting: int
    windows_lost: int  # destroyed by the medium, not yet acknowledged as lost
    last_ack: int | None  # unix time by the clock of the device
    epsilon_spent: float  # of today
    epsilon_left: float | None  # of today; None: nothing was released today, so the whole budget


def read_status(state: Path, now: float | None = None) -> DeviceStatus:
    """Read the status of a state directory; only reads, also while a device has it open.

    Raises:
        DeviceError: there is no spool, or it cannot be read.
    """
    path = state / SPOOL_FILE
    if not path.exists():
        raise DeviceError(f"{state} has no {SPOOL_FILE}; is it the state directory of a device that ran?")
    today = int(time.time() if now is None else now) // DAY_S
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            query = "SELECT epoch, produced, acked_upto, acked_at FROM spool"
            epoch, produced, acked_upto, acked_at = connection.execute(query).fetchone()
            lost = connection.execute("SELECT coalesce(sum(last - first + 1), 0) FROM lost").fetchone()[0]
        days = read_days(path)
    except (sqlite3.Error, TypeError) as error:
        raise DeviceError(f"{path} cannot be read: {error}") from error
    spent = next((day for day in reversed(days) if day.day >= today), None)
    return DeviceStatus(
        is_running=is_in_use(state),
        running=_read_running(state),
        epoch=epoch.hex(),
        windows_produced=produced,
        windows_waiting=produced - acked_upto - lost,
        windows_lost=lost,
        last_ack=acked_at,
        epsilon_spent=spent.spent_micro / MICRO if spent else 0.0,
        epsilon_left=spent.left_micro / MICRO if spent else None,
    )


def _read_running(state: Path) -> Running | None:
    try:
        return Running(**json.loads((state / RUNNING_FILE).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):  # none yet, or damaged: it is for people only
        return None
