# SPDX-License-Identifier: Apache-2.0
"""From a float ONNX file to int8 answers: convert with calibration data, save, load, run.

pip install 'edgeml[demo]' && python examples/convert_and_run.py
"""

from pathlib import Path
from tempfile import TemporaryDirectory

import edgeml
from edgeml.demo import digits  # a small network for scikit-learn's handwritten digits, and the digits

calibration, test = digits.load("calibration"), digits.load("test")

with TemporaryDirectory() as folder:
    path = Path(folder) / "digits.edgeml"
    edgeml.convert(digits.ONNX_PATH, calibration={"image": calibration.x}).save(path)
    print(f"{digits.ONNX_PATH.stat().st_size:,} bytes of ONNX became {path.stat().st_size:,} bytes")

    session = edgeml.InferenceSession(path)  # everything that can fail, fails here
    for tensor in session.get_inputs():
        print(f"input {tensor.name}: {tensor.shape} {tensor.type}")
    (probability,) = session.run(None, {"image": test.x})  # the call of onnxruntime

right = (probability.argmax(axis=1) == test.y).mean()
print(f"{right:.1%} of {len(test.y)} digits it never saw are read right")
