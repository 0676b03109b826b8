# SPDX-License-Identifier: Apache-2.0
"""Models that were quantized elsewhere: their scales, zero points and integers are in the artifact, its results those of onnxruntime."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

import edgeml.convert
from edgeml.artifact.evaluate import evaluate
from edgeml.convert.options import ConvertOptions
from edgeml.errors import CalibrationError, ConversionError, ModelFormatError, UnsupportedOperatorError
from edgeml.session import InferenceSession
from support.onnx_models import make_model, small_data, small_network

NODE = helper.make_node
RNG = np.random.default_rng(17)


def scalar(value: float, dtype: type = np.float32) -> np.ndarray:
    return np.array(value, dtype)


class Reader(CalibrationDataReader):  # type: ignore[misc]
    """One batch."""

    def __init__(self, feed: dict[str, np.ndarray]) -> None:
        self._feeds: Iterator[dict[str, np.ndarray]] = iter([feed])

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._feeds, None)


def run_onnx(model: onnx.ModelProto, feed: dict[str, np.ndarray]) -> list[np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    results: list[np.ndarray] = session.run(None, feed)
    return results


def conv_model(
    weights: np.ndarray, zero: int, dtype: type, bias: np.ndarray | None = None, axis: int = 0
) -> onnx.ModelProto:
    """Quantized x [N, 3, 6, 5], one Conv with per-channel scales, quantized y."""
    constants = {
        "xs": scalar(0.05),
        "xz": scalar(zero, dtype),
        "w": weights,
        "ws": RNG.uniform(0.001, 0.02, len(weights)).astype(np.float32),
        "wz": np.zeros(len(weights), weights.dtype),
        "ys": scalar(0.11),
        "yz": scalar(zero, dtype),
    }
    nodes = [
        NODE("QuantizeLinear", ["x", "xs", "xz"], ["xq"]),
        NODE("DequantizeLinear", ["xq", "xs", "xz"], ["xr"]),
        NODE("DequantizeLinear", ["w", "ws", "wz"], ["wr"], axis=axis),
    ]
    inputs = ["xr", "wr"]
    if bias is not None:
        constants |= {"b": bias, "bs": constants["xs"] * constants["ws"], "bz": np.zeros(len(bias), np.int32)}
        nodes.append(NODE("DequantizeLinear", ["b", "bs", "bz"], ["br"], axis=0))
        inputs.append("br")
    nodes += [
        NODE("Conv", inputs, ["c"], name="conv", pads=[1, 1, 1, 1]),
        NODE("Relu", ["c"], ["r"]),
        NODE("QuantizeLinear", ["r", "ys", "yz"], ["yq"]),
        NODE("DequantizeLinear", ["yq", "ys", "yz"], ["y"]),
    ]
    return make_model(nodes, {"x": ["N", 3, 6, 5]}, ["y"], constants)


@pytest.mark.parametrize(("zero", "dtype"), [(120, np.uint8), (0, np.uint8), (-7, np.int8)])
def test_a_layer_keeps_its_numbers(zero: int, dtype: type) -> None:
    weights = RNG.integers(-127, 128, (4, 3, 3, 3)).astype(np.int8)
    bias = RNG.integers(-20_000, 20_000, 4).astype(np.int32)
    bias[0] = 2**25 + 1  # a float32 does not hold it
    model = conv_model(weights, zero, dtype, bias)
    artifact = edgeml.convert(model)
    (conv,) = [node for node in artifact.graph.nodes if node.op == "conv2d"]
    x, w, b, _ = (artifact.graph.tensors[i] for i in conv.inputs)
    assert np.array_equal(w.data, weights.transpose(0, 2, 3, 1))
    assert np.array_equal(b.data, bias)
    assert (x.scale, x.zero_point) == (np.float32(0.05), zero - (128 if dtype == np.uint8 else 0))
    feed = {"x": RNG.normal(size=(5, 3, 6, 5)).astype(np.float32) * 2}
    (actual,) = InferenceSession(artifact.to_bytes()).run(None, feed)
    assert actual.tobytes() == run_onnx(model, feed)[0].tobytes()
    assert actual.tobytes() == evaluate(artifact.graph, feed)["y"].tobytes()


def test_weights_that_the_artifact_cannot_hold_are_rounded_again_and_named() -> None:
    weights = RNG.integers(-127, 128, (4, 3, 3, 3)).astype(np.int8)
    weights[1, 1, 1, 1] = -128
    model = conv_model(weights, 3, np.int8)
    artifact = edgeml.convert(model)
    assert artifact.metadata["quantized_source"] == {"requantized_layers": ["conv"]}
    feed = {"x": RNG.normal(size=(5, 3, 6, 5)).astype(np.float32)}
    (actual,) = InferenceSession(artifact.to_bytes()).run(None, feed)
    assert np.abs(actual - run_onnx(model, feed)[0]).max() <= 0.11 * 1.001


@pytest.mark.parametrize("form", [QuantFormat.QDQ, QuantFormat.QOperator], ids=["QDQ", "QOperator"])
@pytest.mark.parametrize("kind", [QuantType.QUInt8, QuantType.QInt8], ids=["u8", "s8"])
@pytest.mark.parametrize("per_channel", [True, False])
def test_networks_of_the_onnxruntime_quantizer(
    tmp_path: Path, form: QuantFormat, kind: QuantType, *, per_channel: bool
) -> None:
    source, made = tmp_path / "float.onnx", tmp_path / "int8.onnx"
    onnx.save(small_network(), source)
    quantize_static(
        source,
        made,
        Reader(small_data()),
        quant_format=form,
        activation_type=kind,
        weight_type=QuantType.QInt8,
        per_channel=per_channel,
        extra_options={"ActivationSymmetric": False},
    )
    model = onnx.load(made)
    artifact = edgeml.convert(made)
    assert {kept["op"] for kept in artifact.metadata["float_nodes"]} <= {"BatchNormalization", "Relu"}
    assert artifact.metadata["quantized_source"] == {"requantized_layers": []}
    feed = small_data(40, seed=5)
    (actual,), (expected,) = InferenceSession(artifact.to_bytes()).run(None, feed), run_onnx(model, feed)
    assert (
        np.abs(actual - expected).max() <= 2.5 / 255
    )  # a Softmax: one step of a logit moves it by up to one step and a rounding
    assert (np.abs(actual - expected) < 0.5 / 255).mean() > 0.7
    assert artifact.metadata["calibration_sha256"] == ""
    assert artifact.telemetry_bytes is None
    assert edgeml.convert(made, calibration=small_data()).telemetry_bytes is not None


MICROSOFT = {"domain": "com.microsoft"}
X = ["xq", "xs", "xz"]
OPERATORS = {
    "QLinearAdd": NODE("QLinearAdd", [*X, *X, "ys", "yz"], ["yq"], **MICROSOFT),
    "QLinearMul": NODE("QLinearMul", [*X, *X, "ys", "yz"], ["yq"], **MICROSOFT),
    "QLinearAveragePool": NODE("QLinearAveragePool", [*X, "ys", "yz"], ["yq"], kernel_shape=[2, 2], **MICROSOFT),
    "QLinearGlobalAveragePool": NODE("QLinearGlobalAveragePool", [*X, "ys", "yz"], ["yq"], **MICROSOFT),
    "QLinearConcat": NODE("QLinearConcat", ["ys", "yz", *X, *X], ["yq"], axis=1, **MICROSOFT),
    "QLinearSigmoid": NODE("QLinearSigmoid", [*X, "ys", "yz"], ["yq"], **MICROSOFT),
    "QLinearLeakyRelu": NODE("QLinearLeakyRelu", [*X, "ys", "yz"], ["yq"], alpha=0.2, **MICROSOFT),
    "QLinearConv": NODE("QLinearConv", [*X, "w", "ws", "wz", "ys", "yz"], ["yq"]),
    "QLinearMatMul": NODE("QLinearMatMul", [*X, "m", "ms", "mz", "ys", "yz"], ["yq"]),
}


@pytest.mark.parametrize("opset", [10, 13, 17])
@pytest.mark.parametrize("name", OPERATORS)
def test_quantized_operators(name: str, opset: int) -> None:
    constants = {
        "xs": scalar(0.04),
        "xz": scalar(131, np.uint8),
        "ys": scalar(0.09),
        "yz": scalar(101, np.uint8),
        "w": RNG.integers(-127, 128, (4, 3, 3, 3)).astype(np.int8),
        "ws": RNG.uniform(0.001, 0.02, 4).astype(np.float32),
        "wz": np.zeros(4, np.int8),
        "m": RNG.integers(-127, 128, (5, 4)).astype(np.int8),
        "ms": scalar(0.006),
        "mz": scalar(0, np.int8),
    }
    nodes = [
        NODE("QuantizeLinear", ["x", "xs", "xz"], ["xq"]),
        OPERATORS[name],
        NODE("DequantizeLinear", ["yq", "ys", "yz"], ["y"]),
    ]
    read = {operand for node in nodes for operand in node.input}
    model = make_model(
        nodes, {"x": ["N", 3, 6, 5]}, ["y"], {k: v for k, v in constants.items() if k in read}, opset=opset
    )
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    artifact = edgeml.convert(model)
    feed = {"x": RNG.normal(size=(7, 3, 6, 5)).astype(np.float32) * 2}
    (actual,), (expected,) = InferenceSession(artifact.to_bytes()).run(None, feed), run_onnx(model, feed)
    steps = np.abs(np.rint((actual - expected) / 0.09))
    assert steps.max() <= 1
    assert (steps == 0).mean() > 0.97


def test_dynamic_quantization_runs_in_float_nodes() -> None:
    constants = {"w": RNG.integers(0, 256, (12, 5)).astype(np.uint8), "ws": scalar(0.01), "wz": scalar(119, np.uint8)}
    nodes = [
        NODE("DynamicQuantizeLinear", ["x"], ["q", "s", "z"]),
        NODE("MatMulInteger", ["q", "w", "z", "wz"], ["i"]),
        NODE("Cast", ["i"], ["f"], to=onnx.TensorProto.FLOAT),
        NODE("Mul", ["s", "ws"], ["scale"]),
        NODE("Mul", ["f", "scale"], ["y"]),
    ]
    model = make_model(nodes, {"x": [2, 12]}, ["y"], constants)
    feed = {"x": RNG.normal(size=(2, 12)).astype(np.float32)}
    (actual,) = InferenceSession(edgeml.convert(model).to_bytes()).run(None, feed)
    assert np.allclose(actual, run_onnx(model, feed)[0], rtol=1e-6, atol=0)
    free = make_model(nodes, {"x": ["N", 12]}, ["y"], constants)
    with pytest.raises(ConversionError, match="batch"):
        edgeml.convert(free)


def test_what_has_no_scale_stays_in_float() -> None:
    constants = {"s": scalar(0.05), "z": scalar(128, np.uint8), "k": scalar(1.5), "g": np.ones(6, np.float32)}
    nodes = [
        NODE("QuantizeLinear", ["x", "s", "z"], ["q"]),
        NODE("DequantizeLinear", ["q", "s", "z"], ["r"]),
        NODE("Mul", ["r", "k"], ["m"], name="scaled"),
        NODE("LayerNormalization", ["m", "g"], ["n"], name="norm"),
        NODE("QuantizeLinear", ["n", "s", "z"], ["t"]),
        NODE("DequantizeLinear", ["t", "s", "z"], ["y"]),
    ]
    model = make_model(nodes, {"x": ["N", 6]}, ["y"], constants, opset=17)
    artifact = edgeml.convert(model)
    assert [kept["node"] for kept in artifact.metadata["float_nodes"]] == ["scaled", "norm"]
    feed = {"x": RNG.normal(size=(9, 6)).astype(np.float32)}
    (actual,) = InferenceSession(artifact.to_bytes()).run(None, feed)
    assert np.abs(actual - run_onnx(model, feed)[0]).max() <= 0.0501
    with pytest.raises(UnsupportedOperatorError, match="'scaled' stays in float"):
        edgeml.convert(model, options=ConvertOptions(int8_only=True))


def test_int8_inputs_and_outputs() -> None:
    model = conv_model(RNG.integers(-127, 128, (4, 3, 3, 3)).astype(np.int8), 120, np.uint8)
    session = InferenceSession(edgeml.convert(model, io="int8").to_bytes())
    (given,), (made,) = session.get_inputs(), session.get_outputs()
    assert (given.dtype, given.scale, given.zero_point) == (np.int8, np.float32(0.05), -8)
    q = RNG.integers(-128, 128, (3, 3, 6, 5)).astype(np.int8)
    (actual,) = session.run(None, {given.name: q})
    feed = {"x": ((q.astype(np.float32) - given.zero_point) * np.float32(0.05))}
    (expected,) = run_onnx(model, feed)
    assert np.array_equal((actual.astype(np.float32) - made.zero_point) * np.float32(0.11), expected)


def test_a_float_model_without_data_is_refused() -> None:
    with pytest.raises(CalibrationError, match="needs calibration data"):
        edgeml.convert(small_network())


def test_a_report_needs_data(tmp_path: Path) -> None:
    model = conv_model(RNG.integers(-127, 128, (4, 3, 3, 3)).astype(np.int8), 120, np.uint8)
    with pytest.raises(CalibrationError, match="report"):
        edgeml.convert(model, report=tmp_path / "report.html")
    x = RNG.normal(size=(20, 3, 6, 5)).astype(np.float32)
    edgeml.convert(model, calibration={"x": x}, report=tmp_path / "report.html")
    assert b"conv" in (tmp_path / "report.html").read_bytes()


def add_constant_model(scale: float) -> onnx.ModelProto:
    """Quantized x [N, 4, 4, 4] plus a quantized constant of this scale, quantized y."""
    constants = {
        "s": scalar(0.1),
        "z": scalar(0, np.int8),
        "c": np.full((1, 4, 1, 1), 3, np.int8),
        "cs": scalar(scale),
    }
    nodes = [
        NODE("QuantizeLinear", ["x", "s", "z"], ["xq"]),
        NODE("DequantizeLinear", ["xq", "s", "z"], ["xr"]),
        NODE("DequantizeLinear", ["c", "cs", "z"], ["cr"], name="constant"),
        NODE("Add", ["xr", "cr"], ["a"]),
        NODE("QuantizeLinear", ["a", "s", "z"], ["aq"]),
        NODE("DequantizeLinear", ["aq", "s", "z"], ["y"]),
    ]
    return make_model(nodes, {"x": ["N", 4, 4, 4]}, ["y"], constants)


@pytest.mark.parametrize("scale", [0.0, -0.2, 1e-45])
def test_a_constant_on_a_scale_that_int8_cannot_hold_gets_its_own(scale: float) -> None:
    model = add_constant_model(scale)
    x = {"x": RNG.integers(-100, 100, (2, 4, 4, 4)).astype(np.float32) / 10}
    session = InferenceSession(edgeml.convert(model).to_bytes())
    assert np.abs(session.run(None, x)[0] - run_onnx(model, x)[0]).max() <= 0.1 * 1.001  # one step


@pytest.mark.parametrize("scale", [float("nan"), float("inf")])
def test_a_constant_that_is_not_finite_is_refused(scale: float) -> None:
    with pytest.raises(ModelFormatError, match=r"'constant'.*not finite"):
        edgeml.convert(add_constant_model(scale))
