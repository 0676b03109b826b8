# SPDX-License-Identifier: Apache-2.0
"""Days of a device by a virtual clock, as a process of its own whose writes are counted (write_faults.c).

LD_PRELOAD=write_faults.so python -m support.device_day STATE BROKER_FOLDER PORT WINDOWS

Windows of 5 minutes with about 340 slots, over TLS to 127.0.0.1:PORT, each acknowledged before the next one, so that nothing is saved by
sending several at once. Prints what was written to regular files.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from edgeml.device.monitor import Monitor
from edgeml.observe import Feature, TelemetrySchema
from edgeml.observe.schema import LATENCY_EDGES
from edgeml.privacy import PrivacyBudget
from edgeml.privacy.ledger import DAY_S
from edgeml.telemetry.broker_address import TlsFiles
from support.acking_fleet import wait_for
from support.numpy_session import NumpySession
from support.write_faults import WriteFaults

NOON = 20_000.5 * DAY_S
WINDOW_S = 300
FEATURES, BINS = 9, 32
INFERENCES_PER_WINDOW = 20


def day_schema() -> TelemetrySchema:
    """342 slots: nine values in 32 bins each, and latency."""
    edges = tuple(float(edge) for edge in np.linspace(0, 1, BINS + 1, dtype=np.float32))
    values = [
        Feature(name=f"x{i}", source="input", tensor="x", kind="value", edges=edges, reference=(0,) * (BINS + 3))
        for i in range(FEATURES)
    ]
    latency = Feature(
        name="latency", source="latency", tensor="", kind="latency_us", edges=LATENCY_EDGES, reference=(0,) * 27
    )
    return TelemetrySchema(samples=0, features=(*values, latency))


def main() -> None:
    state, broker, port, windows = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    now = NOON
    rng = np.random.default_rng(3)
    faults = WriteFaults()
    monitor = Monitor(
        NumpySession(day_schema()),  # type: ignore[arg-type]
        state=state,
        device="gate-7",
        broker=f"mqtts://127.0.0.1:{port}",
        tls=TlsFiles(ca=broker / "ca.pem", certificate=broker / "gate-7.pem", key=broker / "gate-7.key"),
        budget=PrivacyBudget(epsilon="300", per_release="1"),
        window_s=WINDOW_S,
        clock=lambda: now,
    )
    for _ in range(windows):
        for _ in range(INFERENCES_PER_WINDOW):
            monitor.run(None, {"x": rng.random((1, 1), dtype=np.float32)})
        now += WINDOW_S
        assert monitor.release_window()
        wait_for(lambda: monitor.status().windows_waiting == 0, "the ack")
    print(json.dumps({"bytes": faults.bytes_written, "blocks": faults.blocks_written, "calls": faults.calls}))
    sys.stdout.flush()
    monitor.close()


if __name__ == "__main__":
    main()
