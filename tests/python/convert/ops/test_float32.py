# SPDX-License-Identifier: Apache-2.0
"""Nodes that stay in float between int8 neighbours: they compute what ONNX says, with a free and with a fixed batch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
import pytest
from onnx import helper

import edgeml.convert
from edgeml.convert.float_model import FloatModel
from edgeml.convert.options import ConvertOptions
from edgeml.errors import UnsupportedOperatorError
from edgeml.session import InferenceSession
from support.onnx_models import make_model

NODE = helper.make_node
RNG = np.random.default_rng(8)
IMAGE = [3, 8, 7]


def f32(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


FIRST = NODE("Conv", ["x", "w"], ["a"], name="first")
LAST = NODE("Conv", ["b", "v"], ["y"], name="last")
Case = tuple[Sequence[onnx.NodeProto], dict[str, np.ndarray]]
CASES: dict[str, Case] = {  # nodes from a [N, 4, 6, 5] to b, channels of b
    "Sin": ([NODE("Sin", ["a"], ["b"])], {"v": f32(5, 4, 1, 1)}),
    "ReduceMean": ([NODE("ReduceMean", ["a"], ["b"], axes=[1])], {"v": f32(5, 1, 1, 1)}),
    "InstanceNormalization": (
        [NODE("InstanceNormalization", ["a", "s", "t"], ["b"])],
        {"v": f32(5, 4, 1, 1), "s": f32(4), "t": f32(4)},
    ),
    "TopK": (
        [NODE("TopK", ["a", "k"], ["b", "i"], axis=2)],
        {"v": f32(5, 4, 1, 1), "k": np.array([2], np.int64)},
    ),
    "ConvTranspose": (
        [NODE("ConvTranspose", ["a", "u"], ["b"], strides=[2, 2])],
        {"v": f32(5, 2, 1, 1), "u": f32(4, 2, 3, 3)},
    ),
    "CumSum": ([NODE("CumSum", ["a", "k"], ["b"])], {"v": f32(5, 4, 1, 1), "k": np.array(3, np.int64)}),
    "MatMul": (
        [NODE("Transpose", ["a"], ["t"], perm=[0, 1, 3, 2]), NODE("MatMul", ["a", "t"], ["b"])],
        {"v": f32(5, 4, 1, 1)},
    ),
    "Softmax": ([NODE("Softmax", ["a"], ["b"], axis=2)], {"v": f32(5, 4, 1, 1)}),
}


def case_model(name: str, batch: int | str) -> onnx.ModelProto:
    nodes, constants = CASES[name]
    return make_model([FIRST, *nodes, LAST], {"x": [batch, *IMAGE]}, ["y"], {"w": 0.3 * f32(4, 3, 3, 3), **constants})


@pytest.mark.parametrize("batch", ["N", 2])
@pytest.mark.parametrize("name", CASES)
def test_computes_what_the_float_model_does(name: str, batch: int | str) -> None:
    model = case_model(name, batch)
    x = f32(20, *IMAGE)
    artifact = edgeml.convert(model, calibration={"x": x})
    (kept,) = artifact.metadata["float_nodes"]
    assert kept["op"] == name
    assert "opset 13" in kept["why"]
    feed = {"x": x[:2]}
    (actual,) = InferenceSession(artifact.to_bytes()).run(None, feed)
    expected = FloatModel(model).run(feed)["y"]
    noise = ((expected - actual) ** 2).sum() / (expected**2).sum()
    assert noise < 10**-2.0, f"SQNR {-10 * np.log10(noise):.1f} dB"


def test_samples_of_a_free_batch_do_not_see_each_other() -> None:
    x = f32(20, *IMAGE)
    session = InferenceSession(
        edgeml.convert(case_model("InstanceNormalization", "N"), calibration={"x": x}).to_bytes()
    )
    (together,) = session.run(None, {"x": x[:5]})
    apart = np.concatenate([session.run(None, {"x": x[i : i + 1]})[0] for i in range(5)])
    assert together.tobytes() == apart.tobytes()


def test_neighbours_in_float_hand_over_float() -> None:
    nodes = [FIRST, NODE("Sin", ["a"], ["s"]), NODE("Cos", ["s"], ["b"]), LAST]
    model = make_model(nodes, {"x": ["N", *IMAGE]}, ["y"], {"w": f32(4, 3, 3, 3), "v": f32(5, 4, 1, 1)})
    operators = [node.op for node in edgeml.convert(model, calibration={"x": f32(20, *IMAGE)}).graph.nodes]
    assert operators.count("quantize") == operators.count("dequantize") == 2


def test_int8_only_refuses() -> None:
    with pytest.raises(UnsupportedOperatorError, match=r"Sin \(opset 13, node 'Sin_1'\) is not supported"):
        edgeml.convert(
            case_model("Sin", "N"), calibration={"x": f32(20, *IMAGE)}, options=ConvertOptions(int8_only=True)
        )


def test_work_along_a_free_batch_is_refused() -> None:
    nodes = [FIRST, NODE("Softmax", ["a"], ["b"], axis=0), LAST]
    constants = {"w": f32(4, 3, 3, 3), "v": f32(5, 4, 1, 1)}
    with pytest.raises(UnsupportedOperatorError, match="works along the free batch"):
        edgeml.convert(make_model(nodes, {"x": ["N", *IMAGE]}, ["y"], constants), calibration={"x": f32(20, *IMAGE)})


def test_int8_borders() -> None:
    """A node in float at a border of an int8 model: its neighbours outside see int8."""
    model = make_model([NODE("Sin", ["x"], ["y"], name="s")], {"x": ["N", 6]}, ["y"])
    session = InferenceSession(edgeml.convert(model, calibration={"x": f32(20, 6)}, io="int8").to_bytes())
    (given,), (made,) = session.get_inputs(), session.get_outputs()
    assert given.dtype == made.dtype == np.int8
    q = np.arange(-60, 60, 20, dtype=np.int8)[None]
    expected = np.sin((q.astype(np.float64) - given.zero_point) * given.scale) / made.scale + made.zero_point
    assert np.abs(session.run(None, {"x": q})[0] - np.clip(expected, -128, 127)).max() <= 0.51
