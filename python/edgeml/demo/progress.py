# SPDX-License-Identifier: Apache-2.0
"""Shows how the demo gets on, on standard error: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from typing_extensions import Self


@dataclass(frozen=True, kw_only=True)
class DeviceStatus:
    """What the table shows of one device."""

    name: str
    camera: str
    inferences: int
    windows_produced: int
    windows_stored: int
    worst: str  # feature that drifts most, with its distance; "" before there is one
    alarm: bool


class Progress:
    """Steps as sentences, devices as a table below them. Use as a context manager."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._live = Live(console=self._console, refresh_per_second=4, transient=True)
        self._started = time.monotonic()
        self._shown: tuple[DeviceStatus, ...] = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def step(self, sentence: str) -> None:
        """Say what happens now."""
        elapsed = time.monotonic() - self._started
        self._console.print(f"[dim]{elapsed:5.1f} s[/dim]  {sentence}", highlight=False, soft_wrap=True)

    def devices(self, statuses: Sequence[DeviceStatus]) -> None:
        """Show the devices; on a plain stream only the begin of an alarm is said."""
        if self._console.is_terminal:
            self._live.start()  # nothing if it runs
            self._live.update(Group(Text(), _table(statuses)))
        was = {status.name: status.alarm for status in self._shown}
        for status in statuses:
            if status.alarm and not was.get(status.name):
                self.step(f"[bold red]drift alarm[/bold red] for {status.name}: {status.worst}")
        self._shown = tuple(statuses)


def _table(statuses: Sequence[DeviceStatus]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("device", "camera", "inferences", "windows", "stored", "worst drift", "alarm"):
        table.add_column(title, justify="right" if title in {"inferences", "windows", "stored"} else "left")
    for status in statuses:
        table.add_row(
            status.name,
            Text(status.camera, style="" if status.camera == "good" else "yellow"),
            f"{status.inferences:,}",
            str(status.windows_produced),
            str(status.windows_stored),
            status.worst,
            Text("drift", style="bold red") if status.alarm else Text("none", style="green"),
        )
    return table
