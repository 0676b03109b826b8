# SPDX-License-Identifier: Apache-2.0
"""`edgeml.convert` with sparsity, through its public surface: zeros where they were asked for, results near the dense ones."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper
from onnxruntime.quantization import CalibrationDataReader, quantize_static

import edgeml.convert
from edgeml.artifact import Artifact
from edgeml.artifact.block_sparse import present_blocks
from edgeml.cli.main import main
from edgeml.convert.artifact_run import run_artifact
from edgeml.convert.comparison import compare
from edgeml.convert.float_model import FloatModel
from edgeml.convert.options import ConvertOptions
from edgeml.convert.weight_storage import layer_shape, predicted_cycles
from edgeml.errors import ConversionError, UsageError
from support.needs import REPOSITORY, SHARED, need_shared
from support.onnx_models import make_model

sys.path.insert(0, str(REPOSITORY / "tools"))
from prepare_assets import ASSETS, prepare

NODE = helper.make_node


def network(channels: int = 16, seed: int = 5) -> onnx.ModelProto:
    """Conv, a residual block of 3x3 and 1x1, a strided 3x3 and a classifier over [N, 3, 10, 9]; 18 channels are no whole words."""
    rng = np.random.default_rng(seed)

    def weights(*shape: int) -> np.ndarray:
        return (rng.normal(size=shape) * np.sqrt(2 / np.prod(shape[1:]))).astype(np.float32)

    constants = {
        "w0": weights(channels, 3, 3, 3),
        "w1": weights(channels, channels, 3, 3),
        "w2": weights(channels, channels, 1, 1),
        "w3": weights(18, channels, 3, 3),
        "w4": weights(10, 18),
        "b4": weights(10),
    }
    nodes = [
        NODE("Conv", ["x", "w0"], ["c0"], name="first", pads=[1, 1, 1, 1]),
        NODE("Relu", ["c0"], ["r0"]),
        NODE("Conv", ["r0", "w1"], ["c1"], name="wide", pads=[1, 1, 1, 1]),
        NODE("Relu", ["c1"], ["r1"]),
        NODE("Conv", ["r1", "w2"], ["c2"], name="point"),
        NODE("Add", ["c2", "r0"], ["s2"]),
        NODE("Relu", ["s2"], ["r2"]),
        NODE("Conv", ["r2", "w3"], ["c3"], name="strided", pads=[1, 0, 0, 1], strides=[2, 2]),
        NODE("Relu", ["c3"], ["r3"]),
        NODE("GlobalAveragePool", ["r3"], ["p"]),
        NODE("Flatten", ["p"], ["f"]),
        NODE("Gemm", ["f", "w4", "b4"], ["y"], name="classifier", transB=1),
    ]
    return make_model(nodes, {"x": ["N", 3, 10, 9]}, ["y"], constants)


def samples(count: int = 60, seed: int = 6) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, 3, 10, 9)).astype(np.float32)


def weights_of(artifact: Artifact) -> dict[str, np.ndarray]:
    """int8 weights [O, ..., C] of the layers that may be pruned."""
    graph = artifact.graph
    found = {
        node.name: graph.tensors[node.inputs[1]].data
        for node in graph.nodes
        if node.op in ("conv2d", "fully_connected") and node.name != "first"
    }
    return {name: data for name, data in found.items() if data is not None}


def zero_blocks(weights: np.ndarray, block_rows: int) -> float:
    """Share of block_rows x 4 blocks that are zero, counted in weights."""
    padded = np.pad(
        weights, [(0, -len(weights) % block_rows)] + [(0, 0)] * (weights.ndim - 2) + [(0, -weights.shape[-1] % 4)]
    )
    blocks = padded.reshape(len(padded) // block_rows, block_rows, -1, 4)
    present = np.ones(weights.shape, bool)
    kept = np.pad(present, [(0, p - w) for p, w in zip(padded.shape, weights.shape, strict=True)]).reshape(blocks.shape)
    zero = ~blocks.any(axis=(1, 3), keepdims=True)
    return float((kept & zero).sum() / weights.size)


def convert(model: onnx.ModelProto, sparsity: float | None = None, block_rows: int = 2) -> Artifact:
    options = ConvertOptions(sparsity=sparsity, block_rows=block_rows)
    return edgeml.convert(model, calibration={"x": samples()}, options=options)


@pytest.mark.parametrize("block_rows", [1, 2, 4])
def test_sparsity_asked_is_sparsity_got(block_rows: int) -> None:
    weights = weights_of(convert(network(), 0.4, block_rows))
    assert set(weights) == {"wide", "point", "strided", "classifier"}
    total = sum(data.size for data in weights.values())
    zeros = sum(zero_blocks(data, block_rows) * data.size for data in weights.values())
    assert 0.4 <= zeros / total < 0.43


def test_first_layer_stays_and_dense_conversion_is_untouched() -> None:
    dense, pruned = convert(network()), convert(network(), 0.4)
    first = [next(n for n in a.graph.nodes if n.name == "first") for a in (dense, pruned)]
    kept = [a.graph.tensors[n.inputs[1]].data for a, n in zip((dense, pruned), first, strict=True)]
    assert np.array_equal(*kept)
    assert "sparsity" not in dense.metadata["options"]
    assert pruned.metadata["options"]["sparsity"] == 0.4


def test_is_nearer_to_the_float_model_than_blocks_without_correction() -> None:
    model, x = network(), samples(200, seed=7)
    expected = FloatModel(model.SerializeToString()).run({"x": x})["y"]
    actual = run_artifact(convert(model, 0.4), {"x": x})["y"]
    naive = network()
    for tensor in naive.graph.initializer:
        if tensor.name in ("w1", "w2", "w3", "w4"):
            tensor.CopyFrom(
                onnx.numpy_helper.from_array(_smallest_blocks_zero(onnx.numpy_helper.to_array(tensor)), tensor.name)
            )
    without = FloatModel(naive.SerializeToString()).run({"x": x})["y"]
    assert ((expected - actual) ** 2).sum() < 0.4 * ((expected - without) ** 2).sum()


def _smallest_blocks_zero(weights: np.ndarray) -> np.ndarray:
    """40 % of the 2x4 blocks zero, by magnitude."""
    moved = np.moveaxis(weights, 1, -1)
    padded = np.pad(moved, [(0, 0)] * (moved.ndim - 1) + [(0, -moved.shape[-1] % 4)])
    blocks = padded.reshape(len(moved) // 2, 2, -1, 4)
    size = (blocks**2).sum(axis=(1, 3), keepdims=True)
    kept = (blocks * (size > np.quantile(size, 0.4))).reshape(padded.shape)[..., : moved.shape[-1]]
    return np.ascontiguousarray(np.moveaxis(kept, -1, 1))


def test_the_same_bytes_twice() -> None:
    assert convert(network(), 0.5).to_bytes() == convert(network(), 0.5).to_bytes()


def test_zeros_of_a_sparse_model_survive() -> None:
    model = network()
    for tensor in model.graph.initializer:
        if tensor.name == "w1":
            sparse = onnx.numpy_helper.to_array(tensor).copy()
            sparse[2:6, 4:12] = 0
            tensor.CopyFrom(onnx.numpy_helper.from_array(sparse, "w1"))
    for sparsity in (None, 0.3):
        weights = weights_of(convert(model, sparsity))["wide"]
        assert not weights[2:6, :, :, 4:12].any()


@pytest.mark.parametrize(
    ("field", "value"),
    [("sparsity", 0.0), ("sparsity", 1.0), ("sparsity", float("nan")), ("block_rows", 3), ("latency_budget", 1.5)],
)
def test_a_bad_option_is_one_sentence(field: str, value: float) -> None:
    with pytest.raises(UsageError, match=field.replace("_", " ")):
        ConvertOptions(**{field: value})


def test_a_quantized_model_is_refused(tmp_path: Path) -> None:
    onnx.save(network(), tmp_path / "float.onnx")

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self._left = [{"x": samples(10)}]

        def get_next(self) -> dict[str, np.ndarray] | None:
            return self._left.pop() if self._left else None

    quantize_static(str(tmp_path / "float.onnx"), str(tmp_path / "int8.onnx"), Reader())
    with pytest.raises(UsageError, match="quantized already"):
        edgeml.convert(tmp_path / "int8.onnx", calibration={"x": samples()}, options=ConvertOptions(sparsity=0.5))


def test_two_goals_are_one_too_many() -> None:
    with pytest.raises(UsageError, match="exclude each other"):
        ConvertOptions(sparsity=0.5, latency_budget=0.5)


@pytest.mark.parametrize("isa", ["avx512vnni", "neondot"])
def test_a_latency_budget_is_respected(isa: str) -> None:
    """The prediction for the artifact as it is stored, over the layers that the cost model knows, against the dense one."""

    def cycles(artifact: Artifact, *, dense: bool) -> float:
        total = 0.0
        for node in artifact.graph.nodes:
            shape = layer_shape(artifact.graph, node)
            if shape is None:
                continue
            weights = artifact.graph.tensors[node.inputs[1]]
            rows = 0 if dense else weights.block_rows
            blocks = int(present_blocks(weights.data, rows).sum()) if rows else 0
            total += predicted_cycles(shape, isa, block_rows=rows, blocks=blocks)
        return total

    options = ConvertOptions(latency_budget=0.7, target_isa=isa)
    artifact = edgeml.convert(network(32), calibration={"x": samples()}, options=options)
    assert cycles(artifact, dense=False) <= 0.7 * cycles(artifact, dense=True)
    too_low = ConvertOptions(latency_budget=0.01, target_isa=isa)
    with pytest.raises(ConversionError, match="ask for more than 0"):
        edgeml.convert(network(32), calibration={"x": samples()}, options=too_low)


def test_a_model_without_a_layer_to_prune_says_so() -> None:
    w = np.random.default_rng(1).normal(size=(4, 3, 3, 3)).astype(np.float32)
    model = make_model([NODE("Conv", ["x", "w"], ["y"])], {"x": ["N", 3, 10, 9]}, ["y"], {"w": w})
    with pytest.raises(ConversionError, match="no layer of the model can be pruned"):
        convert(model, 0.5)


def test_too_much_is_told_at_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    onnx.save(network(), tmp_path / "m.onnx")
    np.savez(tmp_path / "c.npz", x=samples())
    arguments = [str(tmp_path / "m.onnx"), "-o", str(tmp_path / "m.edgeml"), "--calibration", str(tmp_path / "c.npz")]
    assert main(["convert", *arguments, "--sparsity", "0.999"]) == 2
    assert "ask for less" in capsys.readouterr().err
    assert not (tmp_path / "m.edgeml").exists()
    assert main(["convert", *arguments, "--sparsity", "0.5", "--block-rows", "4"]) == 0


@pytest.mark.parametrize(
    ("name", "sparsity", "block_rows", "points"), [("resnet32_cifar10", 0.5, 2, 0.015), ("kws_dscnn", 0.15, 1, 0.01)]
)
def test_real_models_lose_little(name: str, sparsity: float, block_rows: int, points: float, tmp_path: Path) -> None:
    """docs/howto/prune.md has the figures, 1.0 and 0.5 points; half a point is left for sums of other orders."""
    asset = next(one for one in ASSETS if one.model == name)
    for needed in (f"models/{name}.onnx", f"data/{asset.calibration}.npz", f"data/{asset.test}.npz"):
        need_shared(needed)
    calibration, test = prepare(asset, tmp_path)
    model = SHARED / "models" / f"{name}.onnx"
    with np.load(test) as file:
        data = dict(file)
    accuracies = [
        compare(edgeml.convert(model, calibration=calibration, options=options), model, data).outputs[0].accuracy
        for options in (ConvertOptions(), ConvertOptions(sparsity=sparsity, block_rows=block_rows))
    ]
    dense, pruned = (accuracy for accuracy in accuracies if accuracy is not None)
    assert dense - pruned <= points
