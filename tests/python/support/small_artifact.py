# SPDX-License-Identifier: Apache-2.0
"""A small random artifact that uses every operator of the format: for tests of readers, writers and runtimes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeml.artifact.model import Content, Graph, Node, Tensor

INPUT_SHAPE = (3, 7, 6)  # of one sample
Array = npt.NDArray[Any]


class GraphBuilder:
    """Collects tensors and nodes; every method returns the index of the tensor it added."""

    def __init__(self, seed: int = 7, batch: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.batch = batch
        self.tensors: list[Tensor] = []
        self.nodes: list[Node] = []

    def tensor(self, tensor: Tensor) -> int:
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def constant(self, data: Array) -> int:
        return self.tensor(Tensor(f"c{len(self.tensors)}", data.dtype, data.shape, data=data))

    def activation(
        self, shape: Sequence[int], scale: float = 0.05, zero_point: int = 3, dtype: npt.DTypeLike = np.int8
    ) -> int:
        dims = (self.batch, *shape)
        scale_f32 = float(np.float32(scale))
        return self.tensor(Tensor(f"t{len(self.tensors)}", np.dtype(dtype), dims, scale_f32, zero_point))

    def node(self, op: str, inputs: Sequence[int], output: int, attributes: Sequence[int] = ()) -> int:
        self.nodes.append(Node(op, f"{op}{len(self.nodes)}", tuple(inputs), (output,), tuple(attributes)))
        return output

    def weights(self, shape: Sequence[int], channels: int) -> list[int]:
        """Weights, bias and multipliers of a layer with this many output channels."""
        values = self.rng.integers(-127, 128, shape, dtype=np.int8)
        bias = self.rng.integers(-2000, 2000, channels, dtype=np.int32)
        multiplier = self.rng.uniform(0.0005, 0.005, channels).astype(np.float32)
        return [self.constant(values), self.constant(bias), self.constant(multiplier)]

    def multiplier(self, *values: float) -> int:
        return self.constant(np.array(values, np.float32))


def _newer_operators(b: GraphBuilder, x: int) -> int:
    """Operators 17 to 23 and the broadcasts, from and to an activation [2, 4, 4] of scale 0.02 and zero point 0."""
    shape, same = (2, 4, 4), (0.02, 0)
    gate = b.node(
        "constant", [b.constant(b.rng.integers(-128, 128, (1, 2, 1, 1), dtype=np.int8))], b.activation((2, 1, 1))
    )
    gated = b.node("mul", [x, gate, b.multiplier(0.05)], b.activation(shape, *same), [-128, 127])
    squared = b.node("mul", [gated, x, b.multiplier(0.03)], b.activation(shape, *same), [-100, 127])
    row = b.node(
        "constant", [b.constant(b.rng.integers(-128, 128, (1, 1, 1, 4), dtype=np.int8))], b.activation((1, 1, 4))
    )
    moved = b.node("add", [squared, row, b.multiplier(0.8, -0.6)], b.activation(shape, *same), [-128, 127])
    scaled = b.node("mul", [moved, row, b.multiplier(0.04)], b.activation(shape, *same), [-128, 127])
    tokens = b.node("reshape", [scaled], b.activation((8, 4), *same))
    gain, shift = (b.constant(b.rng.uniform(-30, 30, 8).astype(np.float32)) for _ in range(2))
    epsilon = b.constant(np.array([0.01], np.float32))
    normal = b.node("layer_norm", [tokens, gain, shift, epsilon], b.activation((8, 4), 0.03, 9), [-128, 127])
    dense = b.node("fully_connected", [normal, *b.weights((5, 8), 5)], b.activation((5, 4), 0.1, -128), [-128, 127])
    scores = b.node("matmul", [dense, dense, b.multiplier(0.002)], b.activation((4, 4), 0.05, 2), [1, -128, 127])
    table = b.constant(np.round(2.0**23 * np.exp(-0.05 * np.arange(256))).astype(np.uint32))
    shares = b.node("softmax", [scores, table], b.activation((4, 4), 2.0**-8, -128))
    mixed = b.node("matmul", [shares, dense, b.multiplier(0.004)], b.activation((5, 4), 0.02, 0), [2, -128, 127])
    plane = b.node("reshape", [mixed], b.activation((5, 2, 2), *same))
    chosen = b.node("take", [plane, b.constant(np.array([4, 0, 3], np.int32))], b.activation((3, 2, 2), *same), [1])
    columns = b.constant(np.array([1, 0, 1], np.int32))
    near = b.node(
        "resize_nearest", [chosen, b.constant(np.array([0, 1, 1], np.int32)), columns], b.activation((3, 3, 3), *same)
    )
    taps = [np.array([0, 1, 0, 1, 1, 2, 1, 2], np.int32), np.array([256, 768, 0, 1024], np.int32)]
    constants = [b.constant(array) for array in (*taps, *taps)]
    smooth = b.node(
        "resize_linear", [near, *constants, b.multiplier(2.0**-20)], b.activation((3, 4, 4), *same), [-128, 127]
    )
    return b.node("take", [smooth, b.constant(np.array([2, 1], np.int32))], b.activation(shape, *same), [1])


def every_operator(seed: int = 7, batch: int = 0) -> Content:
    """Content whose graph has each operator of the table; input `t0` [batch, 3, 7, 6], outputs f32, s8 and s8."""
    b = GraphBuilder(seed, batch)
    x = b.activation(INPUT_SHAPE, 0, 0, np.float32)
    q = b.node("quantize", [x], b.activation(INPUT_SHAPE, 0.03, -5))
    geometry = [1, 1, 1, 1, 1, 1, 1, 1]
    conv = b.node("conv2d", [q, *b.weights((5, 3, 3, 3), 5)], b.activation((5, 7, 6)), [*geometry, 1, -128, 100])
    depthwise = b.node(
        "depthwise_conv2d", [conv, *b.weights((3, 3, 5), 5)], b.activation((5, 7, 6)), [*geometry, -3, 127]
    )
    added = b.node("add", [conv, depthwise, b.multiplier(0.75, -0.5)], b.activation((5, 7, 6), 0.07, -11), [-128, 127])
    average = b.multiplier(*(1.0 / n for n in range(1, 10)))
    pooled = b.node("average_pool2d", [added, average], b.activation((5, 4, 3)), [3, 3, 2, 2, 1, 1, 1, 1, -128, 127])
    most = b.node("max_pool2d", [pooled], b.activation((5, 3, 2)), [2, 2, 1, 1, 1, 1, 0, 0, 0, 0])
    table = b.constant(b.rng.integers(-128, 128, 256, dtype=np.int8))
    looked_up = b.node("lut", [most, table], b.activation((5, 3, 2), 0.02, 0))
    rescaled = b.node("rescale", [most, b.multiplier(2.5)], b.activation((5, 3, 2), 0.02, 0), [-128, 127])
    joined = b.node("concat", [looked_up, rescaled], b.activation((10, 3, 2), 0.02, 0), [1])
    begin, end = [0, 1, 0, 2, 0, 0, 0, 0], [0, 1, 1, 0, 0, 0, 0, 0]
    padded = b.node("pad", [joined], b.activation((12, 4, 4), 0.02, 0), [*begin, *end, 0])
    start, step = [0, 1, 0, 1, 0, 0, 0, 0], [1, 3, 1, 2, 1, 1, 1, 1]
    sliced = b.node("slice", [padded], b.activation((4, 4, 2), 0.02, 0), [*start, *step])
    turned = b.node("transpose", [sliced], b.activation((2, 4, 4), 0.02, 0), [0, 3, 1, 2, 4, 5, 6, 7])
    flat = b.node("reshape", [turned], b.activation((32,), 0.02, 0))
    dense = b.node("fully_connected", [flat, *b.weights((6, 32), 6)], b.activation((6,), 0.1, 0), [-128, 127])
    exponentials = b.constant(np.round(2.0**23 * np.exp(-0.1 * np.arange(256))).astype(np.uint32))
    probabilities = b.node("softmax", [dense, exponentials], b.activation((6,), 0, 0, np.float32))
    shares = b.node("softmax", [dense, exponentials], b.activation((6,), 2.0**-8, -128))
    turned = _newer_operators(b, turned)
    real = b.node("dequantize", [turned], b.activation((2, 4, 4), 0, 0, np.float32))
    graph = Graph(tuple(b.tensors), tuple(b.nodes), (x,), (probabilities, shares, real))
    metadata = {"format": 1, "producer": "edgeml test", "name": "every_operator", "options": {}, "opset": 13}
    return Content(graph, metadata, None)
