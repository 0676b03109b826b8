# SPDX-License-Identifier: Apache-2.0
"""Builds an ONNX graph layer by layer, and sets each layer's random weights so that its outputs are as after training.

Weights are drawn from the normal distribution. Then each layer is run on sample images and every output channel is
scaled and shifted to standard deviation 1 and mean 0 over them, as a folded batch normalization would: without that,
the channels of a deep random network become constants, and int8 scales meet activations that no trained network has.
Scales are rounded to powers of two and shifts to sixteenths, so that the last bits of the float runtime do not reach
the file: a seed gives one file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

FloatArray = npt.NDArray[np.float32]

OPSET: Final = 17
IR_VERSION: Final = 9
IMAGE_CHANNELS: Final = 3
BLOCK_COLUMNS: Final = 4
SAMPLES: Final = 2  # images that the statistics of a layer are taken over


@dataclass(frozen=True)
class Value:
    """A tensor of the graph, and what it holds for the sample images, [SAMPLES, C, ...]."""

    name: str
    sample: FloatArray

    @property
    def channels(self) -> int:
        return int(self.sample.shape[1])


class GraphBuilder:
    """Nodes and weights of a growing graph."""

    def __init__(self, *, seed: int, zeros: float = 0.0, block_rows: int = 1) -> None:
        """Random weights; `zeros`: the share of zero blocks (block_rows x 4) in 1x1 and 3x3 layers but the first."""
        self._random = np.random.default_rng(seed)
        self._zeros, self._block_rows = zeros, block_rows
        self._nodes: list[onnx.NodeProto] = []
        self._weights: list[onnx.TensorProto] = []
        self._inputs: list[onnx.ValueInfoProto] = []

    def image(self, name: str, *, size: int) -> Value:
        """The graph's input; its samples are `images`."""
        self._inputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3, size, size]))
        return Value(name, images(SAMPLES, size, seed=1))

    def conv(
        self, x: Value, channels: int, *, kernel: int, stride: int = 1, groups: int = 1, pad: int | None = None
    ) -> Value:
        """Convolution with bias; `pad` on all sides, half the kernel if it is not given."""
        fan_in = x.channels // groups * kernel * kernel
        weight = self._normal((channels, x.channels // groups, kernel, kernel), fan_in)
        if self._zeros > 0 and groups == 1 and kernel in (1, 3) and x.channels > IMAGE_CHANNELS:
            weight *= self._present(weight.shape)
        pad = kernel // 2 if pad is None else pad
        attributes = {"kernel_shape": [kernel] * 2, "strides": [stride] * 2, "pads": [pad] * 4, "group": groups}
        return self._affine("Conv", x, weight, axes=(0, 2, 3), **attributes)

    def depthwise(self, x: Value, *, kernel: int = 3, stride: int = 1) -> Value:
        return self.conv(x, x.channels, kernel=kernel, stride=stride, groups=x.channels)

    def pointwise(self, x: Value, channels: int) -> Value:
        return self.conv(x, channels, kernel=1)

    def linear(self, x: Value, features: int) -> Value:
        """Fully connected layer; scaled as a whole, because a few samples say little about one feature."""
        return self._affine("Gemm", x, self._normal((features, x.channels), x.channels), axes=(0, 1), transB=1)

    def squeeze_excite(self, x: Value, squeezed: int) -> Value:
        """x times a gate per channel: pool, two pointwise layers, hard sigmoid x/6 + 1/2."""
        gate = self.op("GlobalAveragePool", x)
        gate = self.relu(self._gate_layer(gate, squeezed))
        gate = self.op("HardSigmoid", self._gate_layer(gate, x.channels), alpha=1 / 6, beta=0.5)
        return self.op("Mul", x, gate)

    def relu(self, x: Value) -> Value:
        return self.op("Relu", x)

    def relu6(self, x: Value) -> Value:
        return self.op("Clip", x, self._constant(0.0), self._constant(6.0))

    def hard_swish(self, x: Value) -> Value:
        return self.op("HardSwish", x)

    def add(self, a: Value, b: Value) -> Value:
        return self.op("Add", a, b)

    def max_pool(self, x: Value, *, kernel: int, stride: int, pad: int = 0) -> Value:
        return self.op("MaxPool", x, kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=[pad] * 4)

    def features(self, x: Value) -> Value:
        """The mean of each plane, as a vector."""
        return self.op("Flatten", self.op("GlobalAveragePool", x), axis=1)

    def op(self, operator: str, *inputs: Value, **attributes: Any) -> Value:
        """Append a node, and run it on the samples."""
        node = helper.make_node(
            operator, [x.name for x in inputs], [f"{operator.lower()}_{len(self._nodes)}"], **attributes
        )
        self._nodes.append(node)
        return Value(node.output[0], _run(node, inputs))

    def model(self, name: str, result: Value, *, output: str) -> onnx.ModelProto:
        """The graph that ends in `result`, checked."""
        nodes = [*self._nodes, helper.make_node("Identity", [result.name], [output])]
        if self._nodes[-1].output[0] == result.name:  # the usual case needs no copy
            self._nodes[-1].output[0] = output
            nodes = self._nodes
        info = helper.make_tensor_value_info(output, TensorProto.FLOAT, [1, *result.sample.shape[1:]])
        graph = helper.make_graph(nodes, name, self._inputs, [info], self._weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
        onnx.checker.check_model(model, full_check=True)
        return model

    def _gate_layer(self, x: Value, channels: int) -> Value:
        """Pointwise layer on one pixel, scaled as a whole."""
        weight = self._normal((channels, x.channels, 1, 1), x.channels)
        return self._affine("Conv", x, weight, axes=(0, 1, 2, 3), kernel_shape=[1, 1])

    def _affine(
        self, operator: str, x: Value, weight: FloatArray, *, axes: tuple[int, ...], **attributes: Any
    ) -> Value:
        """`operator` with weight and bias, such that its outputs have standard deviation 1 and mean 0 over `axes`."""
        raw = _run(
            helper.make_node(operator, ["x", "w"], ["y"], **attributes), (Value("x", x.sample), Value("w", weight))
        )
        std, mean = raw.std(axis=axes, keepdims=True), raw.mean(axis=axes, keepdims=True)
        scale = np.exp2(-np.round(np.log2(np.maximum(std, 1e-3)))).astype(np.float32)
        shift = (-np.round(mean * scale * 16) / 16).astype(np.float32)
        per_channel = np.broadcast_to(scale, (1, len(weight), *scale.shape[2:])).reshape(-1)
        weight = weight * per_channel.reshape(-1, *[1] * (weight.ndim - 1))
        bias = np.broadcast_to(shift, (1, len(weight), *shift.shape[2:])).reshape(-1)
        return self.op(operator, x, self._weight(weight), self._weight(bias), **attributes)

    def _normal(self, shape: tuple[int, ...], fan_in: int) -> FloatArray:
        return np.asarray(self._random.standard_normal(shape) / np.sqrt(fan_in), np.float32)

    def _present(self, shape: tuple[int, ...]) -> FloatArray:
        """0 or 1 for each weight [O, C, kh, kw], in blocks; exactly the wanted share of blocks is 0."""
        rows, groups = -(-shape[0] // self._block_rows), -(-shape[1] // BLOCK_COLUMNS)
        count = rows * groups * shape[2] * shape[3]
        present = np.ones(count, np.float32)
        present[self._random.permutation(count)[: round(self._zeros * count)]] = 0
        blocks = present.reshape(rows, groups, *shape[2:])
        weights = np.repeat(np.repeat(blocks, self._block_rows, axis=0), BLOCK_COLUMNS, axis=1)
        return weights[: shape[0], : shape[1]]

    def _weight(self, array: FloatArray) -> Value:
        name = f"weight_{len(self._weights)}"
        self._weights.append(numpy_helper.from_array(array, name))
        return Value(name, array)

    def _constant(self, number: float) -> Value:
        return self._weight(np.array(number, np.float32))


def images(count: int, size: int, *, seed: int) -> FloatArray:
    """Random pictures float32 [count, 3, size, size] with detail at every scale, standard deviation about 1."""
    random = np.random.default_rng(seed)
    total = np.zeros((count, 3, size, size), np.float32)
    cells = 7
    octaves = 0
    while cells <= size:
        coarse = random.standard_normal((count, 3, cells, cells)).astype(np.float32)
        index = np.arange(size) * cells // size
        total += coarse[:, :, index][:, :, :, index]
        cells, octaves = cells * 2, octaves + 1
    return np.asarray(total / np.sqrt(octaves), np.float32)


def _run(node: onnx.NodeProto, inputs: tuple[Value, ...]) -> FloatArray:
    """What one node gives for the samples of its inputs."""
    names = [f"i{n}" for n in range(len(inputs))]
    alone = onnx.NodeProto()
    alone.CopyFrom(node)
    del alone.input[:]
    alone.input.extend(names)
    infos = [
        helper.make_tensor_value_info(n, TensorProto.FLOAT, x.sample.shape) for n, x in zip(names, inputs, strict=True)
    ]
    graph = helper.make_graph(
        [alone], "one", infos, [helper.make_tensor_value_info(node.output[0], TensorProto.FLOAT, None)]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    (result,) = session.run(None, {n: x.sample for n, x in zip(names, inputs, strict=True)})
    return np.asarray(result, np.float32)
