# SPDX-License-Identifier: Apache-2.0
"""One simulated device as a process: its camera looks at test digits, a monitored session reads them and reports.

Only the camera is simulated: session, monitor, noise, ledger, spool and MQTT are those of any device. Standard input is
the demo's voice: the line `drift` begins the fault, the end of input ends the work. Standard output is JSON lines.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

import edgeml
from edgeml.demo import digits
from edgeml.demo.camera import FAULTS, Fault, Images, pictures
from edgeml.device.update.updating_monitor import UpdateSource, updating_monitor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

RAMP_S: Final = 6.0  # from a good camera to the whole fault
RAMP_STEPS: Final = 4
STATUS_PERIOD_S: Final = 0.5
FLUSH_TIMEOUT_S: Final = 20.0  # for the last acknowledgements


class Orders:
    """What the demo has said so far, read from standard input by a thread."""

    def __init__(self) -> None:
        self.drift_began_s: float | None = None  # time.monotonic()
        self.ended = threading.Event()
        threading.Thread(target=self._listen, name="orders", daemon=True).start()

    def severity(self) -> float:
        """Return how far the fault has come, 0..1, in RAMP_STEPS steps."""
        if self.drift_began_s is None:
            return 0.0
        share = (time.monotonic() - self.drift_began_s) / RAMP_S
        return min(1.0, (1 + int(share * RAMP_STEPS)) / RAMP_STEPS)

    def _listen(self) -> None:
        for line in sys.stdin:
            if line.strip() == "drift" and self.drift_began_s is None:
                self.drift_began_s = time.monotonic()
        self.ended.set()


class Tally:
    """What the demo knows of a device and the fleet does not: right answers, exact latencies."""

    def __init__(self) -> None:
        self._right = {"before": 0, "after": 0, "retrained": 0}
        self._seen = {"before": 0, "after": 0, "retrained": 0}
        self._latency_us: list[float] = []

    @property
    def inferences(self) -> int:
        """Number of inferences so far."""
        return len(self._latency_us)

    def add(self, when: str, *, right: bool, latency_us: float) -> None:
        """Count one inference: `before` the drift, `after` it began, or with a `retrained` model."""
        self._seen[when] += 1
        self._right[when] += right
        self._latency_us.append(latency_us)

    def figures(self) -> dict[str, Any]:
        """Return the figures as JSON has them; what nothing was measured of is null."""
        shares = {f"accuracy_{when}": self._right[when] / n if n else None for when, n in self._seen.items()}
        p50, p99 = np.percentile(self._latency_us, [50, 99]) if self._latency_us else (None, None)
        return {"inferences": self.inferences, **shares, "latency_us_p50": p50, "latency_us_p99": p99}


def tell(event: str, **values: Any) -> None:
    """Write one JSON line to the demo."""
    print(json.dumps({"event": event, **values}), flush=True)


def views(orders: Orders, fault: Fault) -> Iterator[tuple[Images, int]]:
    """Yield pictures and their classes without end; each step of the drift begins a new round through the digits."""
    generator = np.random.default_rng()
    scenes = digits.load("test")
    while True:
        severity = orders.severity()
        for view in pictures(scenes, fault.at(severity), generator):
            yield view
            if orders.severity() != severity:
                break


def work(monitor: edgeml.Monitor, fault: Fault, events_per_s: float) -> Tally:
    """Read digits at a steady pace until standard input ends."""
    orders, tally = Orders(), Tally()
    first = monitor.model_id
    due_s = told_s = time.monotonic()
    for image, digit in views(orders, fault):
        when = "before" if orders.drift_began_s is None else "after"
        if monitor.model_id != first:
            when = "retrained"
        begin_ns = time.perf_counter_ns()
        (probability,) = monitor.run(None, {digits.INPUT_NAME: image})
        latency_us = (time.perf_counter_ns() - begin_ns) * 1e-3
        tally.add(when, right=int(probability.argmax()) == digit, latency_us=latency_us)
        if time.monotonic() - told_s > STATUS_PERIOD_S:
            told_s = time.monotonic()
            tell("status", inferences=tally.inferences, windows_produced=monitor.status().windows_produced)
        due_s += 1 / events_per_s
        if orders.ended.wait(max(0.0, due_s - time.monotonic())):
            break
    return tally


def main() -> None:
    """Work until standard input ends, then hand over the last window and tell the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--broker", required=True)
    parser.add_argument("--update-url", required=True)
    parser.add_argument("--update-root", type=Path, required=True)
    parser.add_argument("--update-token", type=Path, required=True)
    parser.add_argument("--window-s", type=float, required=True)
    parser.add_argument("--events-per-s", type=float, required=True)
    parser.add_argument("--epsilon-of-window", required=True)
    parser.add_argument("--epsilon-of-day", required=True)
    parser.add_argument("--fault", choices=FAULTS)
    args = parser.parse_args()
    logging.basicConfig(format="%(asctime)s %(name)s %(levelname)s: %(message)s")

    source = UpdateSource(
        url=args.update_url,
        root=args.update_root.read_bytes(),
        token=args.update_token.read_text(encoding="utf-8").strip(),
    )

    def make(session: edgeml.InferenceSession, on_want: Callable[[bytes], None]) -> edgeml.Monitor:
        return edgeml.Monitor(
            session,
            state=args.state,
            device=args.device,
            broker=args.broker,
            window_s=args.window_s,
            budget=edgeml.PrivacyBudget(epsilon=args.epsilon_of_day, per_release=args.epsilon_of_window),
            on_want=on_want,
        )

    with updating_monitor(make, factory=args.model, state=args.state, source=source) as monitor:
        tally = work(monitor, FAULTS[args.fault] if args.fault else Fault(), args.events_per_s)
        model_id = monitor.model_id
        status = monitor.close(FLUSH_TIMEOUT_S)
    tell(
        "figures",
        **tally.figures(),
        model_id=model_id.hex(),
        windows_produced=status.windows_produced,
        epsilon_spent=status.epsilon_spent,
        epsilon_budget=status.epsilon_budget,
    )


if __name__ == "__main__":
    main()
