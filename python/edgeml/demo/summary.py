# SPDX-License-Identifier: Apache-2.0
"""What a run of the demo showed: figures, the checks that decide the exit code, and both as text and as JSON."""

from __future__ import annotations

import dataclasses
import statistics
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rich.table import Table

from edgeml.demo.releases import Releases

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console


@dataclass(frozen=True, kw_only=True)
class DeviceFigures:
    """One device: what it did by its own account, and what the fleet knows of it."""

    name: str
    fault: str | None  # what became wrong with its camera
    inferences: int
    accuracy_before: (
        float  # share of right answers until the drift began; the demo knows the labels, the fleet does not
    )
    accuracy_after: float | None  # and since then; None where it did not begin
    accuracy_retrained: float | None  # and with the retrained model, the fault still there
    model_id: str  # that ran at the end
    latency_us_p50: float
    latency_us_p99: float
    windows_produced: int  # by the device's account
    windows_stored: int  # this and the rest by the fleet's
    unaccounted: int
    alarm: bool
    alarm_features: tuple[str, ...]  # worst first
    epsilon_spent: float  # today, of one event: sum over the releases
    epsilon_budget: float


@dataclass(frozen=True, kw_only=True)
class Accuracy:
    """int8 against float on the test digits; shares in 0..1."""

    samples: int
    float32: float
    int8: float
    agreement: float  # digits on which both decide alike


@dataclass(frozen=True, kw_only=True)
class Summary:
    """The whole run. `checks` are the demo's promises, sentence by sentence; all must hold."""

    devices: tuple[DeviceFigures, ...]
    accuracy: Accuracy
    artifact_bytes: int
    epsilon_per_window: float
    window_s: float
    alarm_after_s: float | None  # from the begin of the drift until the last expected alarm; None if one is missing
    releases: Releases
    elapsed_s: float
    dashboard: str  # path of the page that was written
    dashboard_url: str | None = None  # while --keep serves it
    token: str | None = field(default=None, repr=False)

    @property
    def latency_us_p50(self) -> float:
        """Return the median over the devices of their medians, microseconds."""
        return statistics.median(d.latency_us_p50 for d in self.devices)

    @property
    def latency_us_p99(self) -> float:
        """Return the largest 99th percentile of a device, microseconds."""
        return max(d.latency_us_p99 for d in self.devices)

    @property
    def checks(self) -> Mapping[str, bool]:
        """Return what must hold, and whether it does."""
        return {
            "alarm for every drifting device": all(d.alarm for d in self.devices if d.fault),
            "no alarm for any other device": not any(d.alarm for d in self.devices if not d.fault),
            "windows produced = stored": all(d.windows_produced == d.windows_stored > 0 for d in self.devices),
            "unaccounted = 0": all(d.unaccounted == 0 for d in self.devices),
            "epsilon within every device's budget": all(0 < d.epsilon_spent <= d.epsilon_budget for d in self.devices),
            "int8 within 1 point of float": self.accuracy.int8 >= self.accuracy.float32 - 0.01,
            "the retrained model reads drifted pictures better": all(
                after > self.releases.accuracy_before[name] for name, after in self.releases.accuracy_after.items()
            ),
            "it reached every device in waves": self.releases.retrained.state == "done"
            and self.releases.retrained.confirmed == len(self.devices),
            "the broken model was stopped at the first devices": self.releases.broken.state == "rolled back"
            and self.releases.broken.asked < len(self.devices),
            "every device runs the retrained model at the end": all(
                d.model_id == self.releases.retrained.model_id for d in self.devices
            ),
            "the audit log is intact": self.releases.audit_is_intact,
        }

    @property
    def passed(self) -> bool:
        """True if every check holds."""
        return all(self.checks.values())

    def document(self) -> dict[str, Any]:
        """Return everything as one JSON object."""
        produced, stored = self._windows()
        return {
            "passed": self.passed,
            "checks": dict(self.checks),
            "windows": {
                "produced": produced,
                "stored": stored,
                "unaccounted": sum(d.unaccounted for d in self.devices),
            },
            "latency_us_p50": self.latency_us_p50,
            "latency_us_p99": self.latency_us_p99,
            **dataclasses.asdict(self),
        }

    def print(self, console: Console) -> None:
        """Print tables and sentences for people."""
        table = Table(box=None, pad_edge=False, header_style="bold")
        table.add_column("device")
        table.add_column("camera")
        table.add_column("alarm")
        for title in ("inferences", "accuracy", "since drift", "retrained", "windows", "stored", "epsilon"):
            table.add_column(title, justify="right")
        for d in self.devices:
            table.add_row(
                d.name,
                d.fault or "good",
                "[red]drift[/red]" if d.alarm else "none",
                f"{d.inferences:,}",
                f"{d.accuracy_before:.1%}",
                "" if d.accuracy_after is None else f"{d.accuracy_after:.1%}",
                "" if d.accuracy_retrained is None else f"{d.accuracy_retrained:.1%}",
                str(d.windows_produced),
                str(d.windows_stored),
                f"{d.epsilon_spent:g}/{d.epsilon_budget:g}",
            )
        console.print()
        console.print(table)
        for d in self.devices:
            if d.alarm:
                console.print(f"{d.name}: the alarm names {', '.join(d.alarm_features[:4])}", soft_wrap=True)
        console.print()
        for sentence in self._sentences():
            console.print(sentence, highlight=False, soft_wrap=True)
        console.print()
        for name, holds in self.checks.items():
            console.print(f"[green]ok[/green]      {name}" if holds else f"[bold red]FAILED[/bold red]  {name}")

    def _sentences(self) -> list[str]:
        produced, stored = self._windows()
        a = self.accuracy
        unaccounted = sum(d.unaccounted for d in self.devices)
        alarm = "missing" if self.alarm_after_s is None else f"{self.alarm_after_s:.0f} s after the drift began"
        facts = {
            "accuracy": f"int8 {a.int8:.2%}, float32 {a.float32:.2%}, same answer on {a.agreement:.2%}, of {a.samples}"
            " digits that were never trained on",
            "latency": f"p50 {self.latency_us_p50:.0f} us, p99 {self.latency_us_p99:.0f} us, one monitored inference",
            "privacy": f"epsilon {self.epsilon_per_window:g} a window for one event; only noised counts left a device",
            "books": f"{produced} windows produced, {stored} stored, {unaccounted} unaccounted",
            "alarm": alarm,
            "retrained": f"{self.releases.retrained.state}, on {self.releases.retrained.confirmed} devices after"
            f" {self.releases.retrained.seconds:.0f} s",
            "broken": f"{self.releases.broken.state} after {self.releases.broken.seconds:.0f} s,"
            f" {self.releases.broken.asked} devices tried it: {self.releases.broken.reason}",
            "elapsed": f"{self.elapsed_s:.0f} s",
            "dashboard": self.dashboard,
        }
        return [f"{name:<11} {fact}" for name, fact in facts.items()]

    def _windows(self) -> tuple[int, int]:
        return sum(d.windows_produced for d in self.devices), sum(d.windows_stored for d in self.devices)
