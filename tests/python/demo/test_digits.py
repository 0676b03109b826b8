# SPDX-License-Identifier: Apache-2.0
"""The committed network of the demo and the division of its data set."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

pytest.importorskip("sklearn", reason="needs edgeml[demo]")
onnxruntime = pytest.importorskip("onnxruntime", reason="needs edgeml[demo]")

from edgeml.demo import digits  # noqa: E402


def test_committed_network_reads_digits_it_was_not_trained_on() -> None:
    session = onnxruntime.InferenceSession(str(digits.ONNX_PATH), providers=["CPUExecutionProvider"])
    test = digits.load("test")
    probability = session.run([digits.OUTPUT_NAME], {digits.INPUT_NAME: test.x})[0]
    assert (probability.argmax(axis=1) == test.y).mean() >= 0.98


def test_committed_network_is_what_the_issue_asks_for() -> None:
    model = onnx.load(digits.ONNX_PATH)
    onnx.checker.check_model(model, full_check=True)
    assert [opset.version for opset in model.opset_import] == [13]
    operators = {node.op_type for node in model.graph.node}
    assert operators == {"Conv", "Relu", "MaxPool", "GlobalAveragePool", "Flatten", "Gemm", "Softmax"}
    batch = model.graph.input[0].type.tensor_type.shape.dim[0]
    assert batch.dim_param == "N"
    assert digits.ONNX_PATH.stat().st_size < 100_000


def test_every_digit_is_in_exactly_one_part() -> None:
    parts = [digits.load(part) for part in digits.PARTS]
    total = sum(len(part.y) for part in parts)
    assert total == 1797
    assert len(parts[0].y) > 2 * len(parts[1].y)
    images = np.concatenate([part.x.reshape(len(part.y), 64) for part in parts])
    assert len(np.unique(images, axis=0)) == total  # the set has no two equal images, so none is in two parts


def test_parts_are_alike_in_classes_and_ink() -> None:
    calibration, test = digits.load("calibration"), digits.load("test")
    for digit in range(digits.CLASSES):
        assert abs((calibration.y == digit).mean() - (test.y == digit).mean()) < 0.01
    assert abs(calibration.x.mean() - test.x.mean()) < 0.005


def test_images_are_scaled_to_one() -> None:
    x = digits.load("train").x
    assert x.dtype == np.float32
    assert x.shape[1:] == (1, 8, 8)
    assert (float(x.min()), float(x.max())) == (0.0, 1.0)
