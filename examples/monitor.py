# SPDX-License-Identifier: Apache-2.0
"""A device that counts what its model sees and reports it privately; where no fleet listens, reports wait on its disk.

pip install 'edgeml[demo]' && python examples/monitor.py [mqtt://host:1883]
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import edgeml
from edgeml.demo import digits

broker = sys.argv[1] if len(sys.argv) > 1 else "mqtt://127.0.0.1:1883"
calibration, test = digits.load("calibration"), digits.load("test")

with TemporaryDirectory() as folder:
    artifact = Path(folder) / "digits.edgeml"
    edgeml.convert(digits.ONNX_PATH, calibration={"image": calibration.x}).save(artifact)

    monitor = edgeml.Monitor(
        edgeml.InferenceSession(artifact),
        state=Path(folder) / "state",  # spool and ledger: a device keeps this folder
        device="example-1",
        broker=broker,
        budget=edgeml.PrivacyBudget(epsilon="8", per_release="1"),  # of a day, of a window; for one event
        window_s=3 * 3600,
    )
    for image in test.x:
        monitor.run(None, {"image": image[None]})  # as session.run, and counts
    status = monitor.close(flush_timeout_s=2)  # releases the last window and waits for the fleet

print(
    f"{len(test.x)} inferences in {status.windows_produced} window, epsilon {status.epsilon_spent:g} of 8 spent today"
)
print(f"{status.windows_waiting} window waits for the fleet")
