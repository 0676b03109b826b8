# SPDX-License-Identifier: Apache-2.0
"""`edgeml.convert` through its public surface: results near float, bytes that repeat, data that is refused."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

import edgeml.convert
from edgeml.artifact import Artifact
from edgeml.artifact.evaluate import evaluate
from edgeml.convert.float_model import FloatModel
from edgeml.convert.options import ConvertOptions, Io
from edgeml.errors import CalibrationError, ConversionError, UsageError
from edgeml.session import InferenceSession
from support.onnx_models import make_model, small_data, small_network

NODE = helper.make_node
RNG = np.random.default_rng(4)
IMAGE = [6, 9, 8]  # channels, height, width
ROW = [12]
TOKENS = [7, 10]


def f32(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


def i64(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def sqnr_db(expected: np.ndarray, actual: np.ndarray) -> float:
    noise = ((expected.astype(np.float64) - actual) ** 2).sum()
    return float(10 * np.log10((expected.astype(np.float64) ** 2).sum() / max(noise, 1e-300)))


# name -> (nodes, sample shape, constants, the operators of the artifact between quantize and the output)
Case = tuple[Sequence[onnx.NodeProto], Sequence[int], dict[str, np.ndarray], Sequence[str]]
CASES: dict[str, Case] = {
    "conv": (
        [NODE("Conv", ["x", "w", "b"], ["y"], pads=[1, 0, 2, 1], strides=[2, 1])],
        IMAGE,
        {"w": f32(5, 6, 3, 2), "b": f32(5)},
        ["conv2d"],
    ),
    "conv without bias": (
        [NODE("Conv", ["x", "w"], ["y"], dilations=[2, 3])],
        IMAGE,
        {"w": f32(5, 6, 3, 2)},
        ["conv2d"],
    ),
    "conv in groups": ([NODE("Conv", ["x", "w"], ["y"], group=2)], IMAGE, {"w": f32(4, 3, 3, 3)}, ["conv2d"]),
    "conv same upper": (
        [NODE("Conv", ["x", "w"], ["y"], auto_pad="SAME_UPPER", strides=[2, 2])],
        IMAGE,
        {"w": f32(4, 6, 3, 3)},
        ["conv2d"],
    ),
    "depthwise": (
        [NODE("Conv", ["x", "w"], ["y"], group=6, pads=[2, 1, 2, 1])],
        IMAGE,
        {"w": f32(6, 1, 5, 3)},
        ["depthwise_conv2d"],
    ),
    "depthwise with multiplier": (
        [NODE("Conv", ["x", "w"], ["y"], group=6)],
        IMAGE,
        {"w": f32(12, 1, 3, 3)},
        ["conv2d"],
    ),
    "conv1d": ([NODE("Conv", ["x", "w"], ["y"])], [6, 20], {"w": f32(4, 6, 5)}, ["reshape", "conv2d", "reshape"]),
    "relu6": (
        [NODE("Conv", ["x", "w"], ["c"]), NODE("Clip", ["c", "l", "h"], ["y"])],
        IMAGE,
        {"w": f32(5, 6, 3, 3), "l": np.array(0, np.float32), "h": np.array(6, np.float32)},
        ["conv2d"],
    ),
    "gemm": ([NODE("Gemm", ["x", "w", "b"], ["y"])], ROW, {"w": f32(12, 7), "b": f32(7)}, ["fully_connected"]),
    "add": (
        [NODE("Gemm", ["x", "w"], ["t"]), NODE("Add", ["x", "t"], ["a"]), NODE("Relu", ["a"], ["y"])],
        ROW,
        {"w": f32(12, 12)},
        ["fully_connected", "add"],
    ),
    "sub": (
        [NODE("Gemm", ["x", "w"], ["t"]), NODE("Sub", ["t", "x"], ["y"])],
        ROW,
        {"w": f32(12, 12)},
        ["fully_connected", "add"],
    ),
    "a function of one value": ([NODE("Sigmoid", ["x"], ["t"]), NODE("Sub", ["t", "x"], ["y"])], ROW, {}, ["lut"]),
    "gelu": (
        [
            NODE("Div", ["x", "r"], ["a"]),
            NODE("Erf", ["a"], ["b"]),
            NODE("Add", ["b", "one"], ["c"]),
            NODE("Mul", ["x", "c"], ["d"]),
            NODE("Mul", ["d", "h"], ["y"]),
        ],
        ROW,
        {"r": np.array(2**0.5, np.float32), "one": np.array(1, np.float32), "h": np.array(0.5, np.float32)},
        ["lut"],
    ),
    "squeeze and excite": (
        [
            NODE("GlobalAveragePool", ["x"], ["p"]),
            NODE("Conv", ["p", "w"], ["c"]),
            NODE("HardSigmoid", ["c"], ["g"]),
            NODE("Mul", ["x", "g"], ["y"]),
        ],
        IMAGE,
        {"w": f32(6, 6, 1, 1)},
        ["average_pool2d", "conv2d", "lut", "mul"],
    ),
    "square": (
        [NODE("Mul", ["x", "g"], ["a"]), NODE("Gemm", ["x", "w"], ["b"]), NODE("Mul", ["a", "b"], ["y"])],
        ROW,
        {"w": f32(12, 12), "g": f32(12)},
        ["reshape", "depthwise_conv2d", "reshape", "fully_connected", "mul"],
    ),
    "attention": (
        [
            NODE("MatMul", ["x", "wq"], ["q"]),
            NODE("MatMul", ["x", "wk"], ["k"]),
            NODE("MatMul", ["x", "wv"], ["v"]),
            NODE("Transpose", ["k"], ["kt"], perm=[0, 2, 1]),
            NODE("MatMul", ["q", "kt"], ["s"]),
            NODE("Mul", ["s", "scale"], ["t"]),
            NODE("Softmax", ["t"], ["a"], axis=-1),
            NODE("MatMul", ["a", "v"], ["y"]),
        ],
        TOKENS,
        {"wq": f32(10, 8), "wk": f32(10, 8), "wv": f32(10, 6), "scale": np.array(0.2, np.float32)},
        ["transpose", *["fully_connected"] * 3, "matmul", "softmax", "matmul", "transpose"],
    ),
    "norm of a residual over tokens": (
        [
            NODE("MatMul", ["x", "w"], ["a"]),
            NODE("Add", ["a", "b"], ["c"]),
            NODE("Add", ["x", "c"], ["d"]),
            NODE("Add", ["d", "p"], ["e"]),
            NODE("LayerNormalization", ["e", "g", "h"], ["y"]),
        ],
        TOKENS,
        {"w": f32(10, 10), "b": f32(10), "p": f32(1, 7, 10), "g": f32(10), "h": f32(10)},
        ["transpose", "fully_connected", "transpose", "add", "constant", "add", "transpose", "layer_norm", "transpose"],
    ),
    "resize nearest": (
        [NODE("Resize", ["x", "", "s"], ["y"], coordinate_transformation_mode="asymmetric", nearest_mode="floor")],
        IMAGE,
        {"s": np.array([1, 1, 2, 2], np.float32)},
        ["resize_nearest"],
    ),
    "resize linear": (
        [NODE("Resize", ["x", "", "s"], ["y"], mode="linear")],
        IMAGE,
        {"s": np.array([1, 1, 2, 1.5], np.float32)},
        ["resize_linear"],
    ),
    "gather": ([NODE("Gather", ["x", "i"], ["y"], axis=1)], IMAGE, {"i": i64(5, 0, 0, -2)}, ["take"]),
    "gather one": ([NODE("Gather", ["x", "i"], ["y"], axis=2)], IMAGE, {"i": np.array(3)}, ["take", "reshape"]),
    "softmax of every pixel": ([NODE("Softmax", ["x"], ["y"], axis=1)], IMAGE, {}, ["softmax"]),
    "average pool": (
        [NODE("AveragePool", ["x"], ["y"], kernel_shape=[3, 2], strides=[2, 2], pads=[1, 0, 1, 1])],
        IMAGE,
        {},
        ["average_pool2d"],
    ),
    "average pool that counts pads": (
        [NODE("AveragePool", ["x"], ["y"], kernel_shape=[3, 2], pads=[1, 0, 1, 1], count_include_pad=1)],
        IMAGE,
        {},
        ["average_pool2d"],
    ),
    "average pool rounded up": (
        [NODE("AveragePool", ["x"], ["y"], kernel_shape=[2, 3], strides=[2, 2], ceil_mode=1)],
        IMAGE,
        {},
        ["average_pool2d"],
    ),
    "max pool": (
        [NODE("MaxPool", ["x"], ["y"], kernel_shape=[3, 2], strides=[2, 1], pads=[1, 1, 0, 0])],
        IMAGE,
        {},
        ["max_pool2d"],
    ),
    "max pool rounded up": (
        [NODE("MaxPool", ["x"], ["y"], kernel_shape=[2, 3], strides=[2, 2], ceil_mode=1)],
        IMAGE,
        {},
        ["max_pool2d"],
    ),
    "mean": ([NODE("ReduceMean", ["x"], ["y"], axes=[2, 3], keepdims=0)], IMAGE, {}, ["average_pool2d", "reshape"]),
    "concat": ([NODE("Tanh", ["x"], ["t"]), NODE("Concat", ["x", "t"], ["y"], axis=-1)], ROW, {}, ["lut", "concat"]),
    "slice": (
        [NODE("Slice", ["x", "s", "e", "a", "t"], ["y"])],
        IMAGE,
        {"s": i64(-5, 1), "e": i64(1000, -1), "a": i64(1, -1), "t": i64(2, 3)},
        ["slice"],
    ),
    "split": (
        [NODE("Split", ["x"], ["a", "b"], axis=1), NODE("Add", ["b", "a"], ["y"])],
        ROW,
        {},
        ["slice", "slice", "add"],
    ),
    "pad with a value": (
        [NODE("Pad", ["x", "p", "v"], ["y"])],
        IMAGE,
        {"p": i64(0, 1, 0, 2, 0, 0, 1, 0), "v": np.array(9, np.float32)},
        ["pad"],
    ),
    "transpose": ([NODE("Transpose", ["x"], ["y"], perm=[0, 3, 1, 2])], IMAGE, {}, ["transpose"]),
    "flatten": ([NODE("Flatten", ["x"], ["y"])], IMAGE, {}, ["reshape"]),
    "softmax": ([NODE("Softmax", ["x"], ["y"])], ROW, {}, ["softmax"]),
    "softmax inside": (
        [NODE("Softmax", ["x"], ["s"]), NODE("Gemm", ["s", "w"], ["y"])],
        ROW,
        {"w": f32(12, 5)},
        ["softmax", "fully_connected"],
    ),
    "softmax joined": (
        [NODE("Softmax", ["x"], ["s"]), NODE("Concat", ["s", "x"], ["y"], axis=1)],
        ROW,
        {},
        ["softmax", "concat"],
    ),
    "normalised input": (
        [NODE("Sub", ["x", "m"], ["a"]), NODE("Mul", ["a", "g"], ["y"])],
        IMAGE,
        {"m": f32(6, 1, 1), "g": f32(6, 1, 1)},
        ["depthwise_conv2d"],
    ),
    "lone relu": ([NODE("Relu", ["x"], ["y"])], ROW, {}, ["lut"]),
    "leaky relu": (
        [NODE("LeakyRelu", ["x"], ["t"], alpha=0.1), NODE("Gemm", ["t", "w"], ["y"])],
        ROW,
        {"w": f32(12, 5)},
        ["lut", "fully_connected"],
    ),
    "hard swish": (
        [NODE("HardSwish", ["x"], ["t"]), NODE("Gemm", ["t", "w"], ["y"])],
        ROW,
        {"w": f32(12, 5)},
        ["lut", "fully_connected"],
    ),
    "hard sigmoid": ([NODE("HardSigmoid", ["x"], ["y"], alpha=0.3)], ROW, {}, ["lut"]),
    "elu": ([NODE("Elu", ["x"], ["y"], alpha=0.7)], ROW, {}, ["lut"]),
    "exp": ([NODE("Exp", ["x"], ["y"])], ROW, {}, ["lut"]),
    "clip without bounds": ([NODE("Clip", ["x"], ["y"])], ROW, {}, ["lut"]),
}


def model_of(name: str, batch: int | str = "N") -> onnx.ModelProto:
    nodes, shape, constants, _ = CASES[name]
    return make_model(nodes, {"x": [batch, *shape]}, ["y"], constants, opset=17)


def data_of(name: str, samples: int = 64) -> dict[str, np.ndarray]:
    return {"x": np.random.default_rng(6).normal(size=(samples, *CASES[name][1])).astype(np.float32)}


@pytest.mark.parametrize("name", CASES)
def test_artifact_is_near_the_float_model(name: str) -> None:
    artifact = edgeml.convert(model_of(name), calibration=data_of(name))
    operators = [node.op for node in artifact.graph.nodes]
    assert operators[0] == "quantize"
    assert [op for op in operators[1:] if op != "dequantize"] == list(CASES[name][3])
    feed = data_of(name)
    expected = FloatModel(model_of(name).SerializeToString()).run(feed)["y"]
    actual = evaluate(artifact.graph, feed)["y"]
    assert actual.dtype == np.float32
    assert actual.shape == expected.shape
    assert sqnr_db(expected, actual) > 28


@pytest.mark.parametrize("io", ["float32", "int8"])
@pytest.mark.parametrize("name", CASES)
def test_core_equals_the_numpy_evaluator(name: str, io: Io) -> None:
    artifact = edgeml.convert(model_of(name), calibration=data_of(name), io=io)
    x = data_of(name, 3)["x"] if io == "float32" else RNG.integers(-128, 128, (3, *CASES[name][1]), dtype=np.int8)
    (actual,) = InferenceSession(artifact.to_bytes()).run(None, {"x": x})
    expected = evaluate(artifact.graph, {"x": x})["y"]
    assert (actual.dtype, actual.shape) == (expected.dtype, expected.shape)
    assert actual.tobytes() == expected.tobytes()


@pytest.mark.parametrize("name", ["conv", "mean", "softmax inside", "concat"])
def test_fixed_batch_stays(name: str) -> None:
    artifact = edgeml.convert(model_of(name, batch=4), calibration=data_of(name, 42))
    assert artifact.graph.tensors[artifact.graph.inputs[0]].dims[0] == 4
    assert artifact.metadata["calibration_samples"] == 40  # the incomplete batch is left out
    assert evaluate(artifact.graph, data_of(name, 4))["y"].shape[0] == 4


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"preset": "fast"},
        {"preset": "best"},
        {"range_method": "minmax"},
        {"range_method": "percentile"},
        {"bias_correction": False},
    ],
)
def test_whole_network(options: dict[str, Any]) -> None:
    artifact = edgeml.convert(small_network(), calibration=small_data(), options=ConvertOptions(**options))
    feed = small_data(200, seed=8)
    expected = FloatModel(small_network().SerializeToString()).run(feed)["output"]
    actual = evaluate(artifact.graph, feed)["output"]
    assert (expected.argmax(axis=1) == actual.argmax(axis=1)).mean() > 0.95
    assert sqnr_db(expected, actual) > 28


def test_probabilities_are_not_rounded_to_8_bits() -> None:
    artifact = edgeml.convert(small_network(), calibration=small_data())
    probabilities = evaluate(artifact.graph, small_data(50, seed=9))["output"]
    assert artifact.graph.nodes[-1].op == "softmax"
    assert np.allclose(probabilities.sum(axis=1), 1, atol=1e-6)
    assert np.any(probabilities * 256 != np.round(probabilities * 256))


def test_int8_io() -> None:
    artifact = edgeml.convert(small_network(), calibration=small_data(), io="int8")
    graph = artifact.graph
    x, y = (graph.tensors[i] for i in (graph.inputs[0], graph.outputs[0]))
    assert (x.name, x.dtype, y.name, y.dtype) == ("input", np.int8, "output", np.int8)
    assert (y.scale, y.zero_point) == (2.0**-8, -128)
    assert artifact.telemetry_bytes is None
    real = small_data(20, seed=9)["input"]
    q = np.clip(np.rint(real / np.float32(x.scale)) + x.zero_point, -128, 127).astype(np.int8)
    shares = (evaluate(graph, {"input": q})["output"].astype(np.int32) + 128) / 256
    both = evaluate(edgeml.convert(small_network(), calibration=small_data()).graph, {"input": real})["output"]
    assert np.abs(shares - both).max() <= 1 / 256


def test_only_output_that_is_also_read_inside() -> None:
    nodes = [NODE("Sigmoid", ["x"], ["s"]), NODE("Gemm", ["s", "w"], ["y"])]
    model = make_model(nodes, {"x": ["N", 12]}, ["s", "y"], {"w": f32(12, 3)})
    artifact = edgeml.convert(model, calibration=data_of("gemm"))
    outputs = evaluate(artifact.graph, data_of("gemm"))
    expected = FloatModel(model.SerializeToString()).run(data_of("gemm"))
    assert list(outputs) == ["s", "y"]
    assert all(sqnr_db(expected[name], outputs[name]) > 28 for name in outputs)


def test_two_inputs() -> None:
    model = make_model([NODE("Add", ["a", "b"], ["y"])], {"a": ["N", 12], "b": ["N", 12]}, ["y"])
    data = {"a": f32(30, 12), "b": 5 * f32(30, 12)}
    artifact = edgeml.convert(model, calibration=data)
    assert sqnr_db(data["a"] + data["b"], evaluate(artifact.graph, data)["y"]) > 35
    with pytest.raises(CalibrationError, match="'b'"):
        edgeml.convert(model, calibration={"a": data["a"]})


def test_every_form_of_calibration_gives_the_same_bytes(tmp_path: Path) -> None:
    data = small_data()
    np.savez(tmp_path / "named.npz", **data)
    np.savez(tmp_path / "x.npz", x=data["input"], y=np.arange(40), name=np.array(["a"] * 40))
    batches = [{"input": data["input"][i : i + 7]} for i in range(0, 40, 7)]
    sources = [
        data,
        batches,
        iter(batches),
        tmp_path / "named.npz",
        str(tmp_path / "x.npz"),
        {"input": data["input"].astype(np.float64)},
    ]
    artifacts = {edgeml.convert(small_network(), calibration=source).to_bytes() for source in sources}
    assert len(artifacts) == 1


def test_other_process_gives_the_same_bytes(tmp_path: Path) -> None:
    model, calibration, output = tmp_path / "net.onnx", tmp_path / "data.npz", tmp_path / "net.edgeml"
    model.write_bytes(small_network().SerializeToString(deterministic=True))
    np.savez(calibration, **small_data())
    command = [
        sys.executable,
        "-m",
        "edgeml.cli.main",
        "convert",
        str(model),
        "-o",
        str(output),
        "--calibration",
        str(calibration),
    ]
    subprocess.run(command, check=True, env={**os.environ, "PYTHONHASHSEED": "77", "OPENBLAS_NUM_THREADS": "2"})
    assert Artifact.load(output).to_bytes() == edgeml.convert(model, calibration=calibration).to_bytes()


def test_options_and_data_change_the_artifact() -> None:
    first = edgeml.convert(small_network(), calibration=small_data())
    assert first.model_id != edgeml.convert(small_network(), calibration=small_data(seed=6)).model_id
    assert (
        first.model_id
        != edgeml.convert(small_network(), calibration=small_data(), options=ConvertOptions(percentile=99)).model_id
    )


def test_metadata() -> None:
    artifact = edgeml.convert(small_network(), calibration=small_data())
    assert artifact.metadata["macs"] == 8 * 30 * 18 + 8 * 30 * 9 + 8 * 30 * 8 + 40
    assert artifact.metadata["opset"] == 13
    assert artifact.metadata["options"] == {
        "preset": "balanced",
        "range_method": "mse",
        "percentile": 99.99,
        "bias_correction": True,
        "rounding": None,
        "equalization": None,
        "target_isa": "avx512vnni",
        "int8_only": False,
        "io": "float32",
    }
    assert artifact.metadata["float_nodes"] == []
    assert artifact.metadata["producer"] == f"edgeml {edgeml.__version__}"


def poisoned(value: float) -> Callable[[np.ndarray], np.ndarray]:
    def change(x: np.ndarray) -> np.ndarray:
        x = x.copy()
        x[17, 1, 3, 2] = value
        return x

    return change


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (poisoned(np.nan), "NaN or infinity, first in sample 17"),
        (poisoned(np.inf), "NaN or infinity, first in sample 17"),
        (lambda x: x[:3], "3 calibration samples are too few"),
        (lambda x: x[:0], "too few"),
        (lambda x: np.full_like(x, 2), "2.0 everywhere"),
        (lambda x: x.transpose(0, 2, 3, 1), r"samples of shape \(12, 10, 2\)"),
        (lambda x: x.astype(str), "not numeric"),
        (lambda x: x.astype(object), "not numeric"),
        (lambda _: np.float32(1), "shape"),
    ],
)
def test_bad_calibration_is_refused(change: Callable[[np.ndarray], Any], sentence: str) -> None:
    with pytest.raises(CalibrationError, match=sentence):
        edgeml.convert(small_network(), calibration={"input": change(small_data()["input"])})


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ({"other": np.ones((20, 3))}, "'input'"),
        ([], "no calibration batches"),
        ([1], "dicts of arrays"),
        ("gone.npz", "gone.npz"),
    ],
)
def test_missing_calibration_is_named(source: Any, sentence: str) -> None:
    with pytest.raises(CalibrationError, match=sentence):
        edgeml.convert(small_network(), calibration=source)


def test_damaged_npz_is_refused(tmp_path: Path, rng: np.random.Generator) -> None:
    path = tmp_path / "data.npz"
    np.savez_compressed(path, **small_data())
    data = path.read_bytes()
    for content in (b"", b"PK\x03\x04", data[: len(data) // 2], rng.bytes(100)):
        path.write_bytes(content)
        with pytest.raises(CalibrationError, match=r"data\.npz"):
            edgeml.convert(small_network(), calibration=path)
    np.save(tmp_path / "one.npy", np.ones(3))
    with pytest.raises(CalibrationError, match="single array"):
        edgeml.convert(small_network(), calibration=tmp_path / "one.npy")


def test_pickles_are_never_loaded(tmp_path: Path) -> None:
    np.savez(tmp_path / "evil.npz", input=np.array([{"a": 1}], dtype=object))
    with pytest.raises(CalibrationError, match=r"evil\.npz"):
        edgeml.convert(small_network(), calibration=tmp_path / "evil.npz")


def test_dead_channels_and_constant_layers_convert() -> None:
    constants = {"w": np.zeros((4, 6, 3, 3), np.float32), "b": np.array([0, 1, -3, 0], np.float32)}
    constants["w"][3] = 1e-30  # far below what 8 bits of the layer can show
    model = make_model([NODE("Conv", ["x", "w", "b"], ["y"])], {"x": ["N", *IMAGE]}, ["y"], constants)
    artifact = edgeml.convert(model, calibration=data_of("conv"))
    actual = evaluate(artifact.graph, data_of("conv"))["y"]
    assert np.allclose(actual, constants["b"][None, :, None, None], atol=0.02)


def test_weights_that_are_not_finite_are_refused() -> None:
    model = make_model(
        [NODE("Gemm", ["x", "w"], ["y"])], {"x": ["N", 12]}, ["y"], {"w": np.full((12, 2), np.nan, np.float32)}
    )
    with pytest.raises(ConversionError, match="finite"):
        edgeml.convert(model, calibration=data_of("gemm"))


@pytest.mark.parametrize(
    "options",
    [
        {"preset": "slow"},
        {"rounding": "up"},
        {"equalization": 1.5},
        {"range_method": "best"},
        {"percentile": 50},
        {"percentile": 100.1},
        {"percentile": float("nan")},
        {"io": "int4"},
    ],
)
def test_options_check_their_ranges(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        ConvertOptions(**options)


def test_names_longer_than_the_artifact_holds_are_replaced() -> None:
    nodes = [NODE("Tanh", ["x"], ["t" * 3000], name="n" * 2000), NODE("Gemm", ["t" * 3000, "w"], ["y"])]
    artifact = edgeml.convert(
        make_model(nodes, {"x": ["N", 12]}, ["y"], {"w": f32(12, 3)}), calibration=data_of("gemm")
    )
    assert [node.name for node in artifact.graph.nodes][1] == "lut_1"


def test_package_is_the_function() -> None:
    assert callable(edgeml.convert)
    assert edgeml.convert.convert.__doc__ == edgeml.convert.__doc__
