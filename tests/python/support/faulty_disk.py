# SPDX-License-Identifier: Apache-2.0
"""A device whose disk fails in the middle of its work, as a process with write_faults.c: what it counts stays counted.

LD_PRELOAD=write_faults.so python -m support.faulty_disk STATE ERRNO

For each call at which the disk can begin to fail: inferences go on, windows are not released, then the disk heals and
everything comes out. Prints what was seen.
"""

from __future__ import annotations

import json
import logging
import shutil
import sys
from contextlib import closing
from pathlib import Path

import numpy as np

from edgeml.device.monitor import Monitor
from edgeml.privacy import PrivacyBudget
from edgeml.privacy.ledger import DAY_S
from edgeml.telemetry.spool import Spool
from support.numpy_session import NumpySession
from support.write_faults import WriteFaults

NOON = 20_000.5 * DAY_S
QUIET = PrivacyBudget(epsilon="1000", per_release="50")  # scale 0.06: off by one about once in 10^7 slots
CALLS = 10  # a release has about as many
NEVER = -1


def main() -> None:
    state, error = Path(sys.argv[1]), int(sys.argv[2])
    logging.disable(logging.CRITICAL)
    faults = WriteFaults()
    refused = answered = 0
    for call in range(1, CALLS + 1):
        shutil.rmtree(state, ignore_errors=True)
        monitor = Monitor(
            NumpySession(),  # type: ignore[arg-type]
            state=state,
            device="d1",
            broker="mqtt://127.0.0.1:1",
            budget=QUIET,
            window_s=3600,
            clock=lambda: NOON,
        )
        ran = 0
        for phase in ("sound", "failing", "failing", "healed"):
            faults.fail_from(call if phase == "failing" else NEVER, error)
            for _ in range(3):
                outputs = monitor.run(None, {"x": np.array([[0.1], [0.9]], dtype=np.float32)})
                answered += outputs[0].shape == (2, 2)
                ran += 2
            was_released = monitor.release_window()
            assert was_released or phase == "failing", phase
            refused += not was_released
        monitor.close(0.0)
        with closing(Spool(state, budget=QUIET, now=NOON)) as spool:
            counted = sum(int(window.counts[:5].sum()) for window in spool.windows(0))
            assert counted == ran, f"from call {call}: {counted} of {ran} samples"
            assert spool.ledger.spent_micro(NOON) >= spool.produced() * 50_000_000
    print(json.dumps({"answered": answered, "refused": refused}))


if __name__ == "__main__":
    main()
