# SPDX-License-Identifier: Apache-2.0
"""Small ONNX models made in the tests: `make_model` from nodes and constants, and a convolutional network with real structure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

Array = npt.NDArray[Any]
Shape = Sequence[int | str]


def make_model(
    nodes: Sequence[onnx.NodeProto],
    inputs: Mapping[str, Shape],
    outputs: Sequence[str],
    constants: Mapping[str, Array] | None = None,
    opset: int = 13,
) -> onnx.ModelProto:
    """A model with float32 inputs of the given shapes ("N" = free) and float32 outputs of unstated shape."""
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(value, name) for name, value in (constants or {}).items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    model.ir_version = 8
    return model


def small_network(seed: int = 3, batch: int | str = "N") -> onnx.ModelProto:
    """Conv + BatchNormalization + Relu, depthwise, a residual, pools and a classifier with Softmax over [batch, 2, 12, 10]."""
    rng = np.random.default_rng(seed)

    def weights(*shape: int) -> Array:
        return (rng.normal(size=shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)

    constants = {
        "w0": weights(8, 2, 3, 3),
        "b0": weights(8),
        "gamma": rng.uniform(0.5, 1.5, 8).astype(np.float32),
        "beta": rng.normal(size=8).astype(np.float32),
        "mean": rng.normal(size=8).astype(np.float32) * np.float32(0.1),
        "var": rng.uniform(0.5, 2.0, 8).astype(np.float32),
        "w1": weights(8, 1, 3, 3),
        "w2": weights(8, 8, 1, 1),
        "b2": weights(8),
        "w3": weights(5, 8),
        "b3": weights(5),
    }
    nodes = [
        helper.make_node("Conv", ["input", "w0", "b0"], ["c0"], name="conv0", strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node("BatchNormalization", ["c0", "gamma", "beta", "mean", "var"], ["n0"], name="norm0"),
        helper.make_node("Relu", ["n0"], ["r0"], name="relu0"),
        helper.make_node("Conv", ["r0", "w1"], ["c1"], name="depthwise", group=8, pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c1"], ["r1"], name="relu1"),
        helper.make_node("Conv", ["r1", "w2", "b2"], ["c2"], name="pointwise"),
        helper.make_node("Add", ["c2", "r0"], ["a0"], name="residual"),
        helper.make_node("Relu", ["a0"], ["r2"], name="relu2"),
        helper.make_node("MaxPool", ["r2"], ["m0"], name="maxpool", kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("GlobalAveragePool", ["m0"], ["g0"], name="pool"),
        helper.make_node("Flatten", ["g0"], ["f0"], name="flat"),
        helper.make_node("Gemm", ["f0", "w3", "b3"], ["logits"], name="classifier", transB=1),
        helper.make_node("Softmax", ["logits"], ["output"], name="softmax", axis=-1),
    ]
    return make_model(nodes, {"input": [batch, 2, 12, 10]}, ["output"], constants)


def small_data(samples: int = 40, seed: int = 5) -> dict[str, Array]:
    """Inputs of `small_network`."""
    return {"input": np.random.default_rng(seed).normal(size=(samples, 2, 12, 10)).astype(np.float32)}
