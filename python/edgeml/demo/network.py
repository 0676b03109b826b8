# SPDX-License-Identifier: Apache-2.0
"""The small convolutional network of the demo in plain numpy: its layers, its training, its ONNX.

image [N,1,8,8] -> Conv 3x3, 32 -> Conv 3x3, 48 -> MaxPool 2x2 -> depthwise Conv 3x3 -> Conv 1x1, 64
    -> mean over pixels -> Gemm, 10 -> Softmax -> probability [N,10]

tools/train_digits.py trains it from the beginning; the demo goes on from there when its cameras have drifted.
"""

from __future__ import annotations

import sys
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper
from scipy import ndimage

from edgeml.demo import digits

Floats = npt.NDArray[np.float32]

EPOCHS: Final = 200
BATCH: Final = 64
LEARNING_RATE: Final = 3e-3
WEIGHT_DECAY: Final = 1e-3
LABEL_SMOOTHING: Final = 0.05
ROTATION_DEGREES: Final = 12.0  # augmentation: uniform in +- this
SHIFT_PIXELS: Final = 0.7
ZOOM: Final = 0.1
SENSOR_NOISE: Final = 0.03  # standard deviation, of the full scale
ADAM_DECAY: Final = (0.9, 0.999)
AVERAGE_DECAY: Final = 0.995  # the exported weights are the moving average of the trained ones


_FROM_ONNX: Final = {
    4: (2, 3, 1, 0),
    2: (1, 0),
}  # axes of ONNX weights, by their number, in the order of the layers here


class Layer(Protocol):
    """A step of the network, images as [N,H,W,C]; `gradients` is filled by `backward`, in the order of `weights`."""

    weights: list[Floats]
    gradients: list[Floats]

    def forward(self, x: Floats) -> Floats:
        """Return the output; remember what `backward` needs."""

    def backward(self, dy: Floats) -> Floats:
        """Return the gradient of the input."""


class Conv:
    """Convolution, size x size, stride 1, same padding, then ReLU; weights [size*size*in, out], bias [out]."""

    def __init__(self, generator: np.random.Generator, size: int, inputs: int, outputs: int) -> None:
        self.size, self.inputs = size, inputs
        fan_in = size * size * inputs
        self.weights = [he_normal(generator, (fan_in, outputs), fan_in), np.zeros(outputs, np.float32)]
        self.gradients: list[Floats] = []

    def forward(self, x: Floats) -> Floats:
        """Return relu(x * w + b), [N,H,W,out]."""
        pad = self.size // 2
        padded = np.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (self.size, self.size), axis=(1, 2))
        self.columns = windows.transpose(0, 1, 2, 4, 5, 3).reshape(-1, self.size**2 * self.inputs)
        self.shape = x.shape
        y = np.maximum(self.columns @ self.weights[0] + self.weights[1], 0)
        self.active = y > 0
        shaped: Floats = y.reshape(*x.shape[:3], -1)
        return shaped

    def backward(self, dy: Floats) -> Floats:
        """Return dx; sets the gradients of weights and bias."""
        n, height, width, channels = self.shape
        dy = dy.reshape(self.active.shape) * self.active
        self.gradients = [self.columns.T @ dy, dy.sum(axis=0)]
        columns = (dy @ self.weights[0].T).reshape(n, height, width, self.size, self.size, channels)
        pad = self.size // 2
        dx = np.zeros((n, height + 2 * pad, width + 2 * pad, channels), np.float32)
        for i in range(self.size):
            for j in range(self.size):
                dx[:, i : i + height, j : j + width] += columns[:, :, :, i, j]
        return dx[:, pad : pad + height, pad : pad + width]

    def onnx_weights(self) -> list[Floats]:
        """Return weights as ONNX has them, [out,in,size,size], and the bias."""
        weights = self.weights[0].reshape(self.size, self.size, self.inputs, -1)
        return [np.ascontiguousarray(weights.transpose(3, 2, 0, 1)), self.weights[1]]


class DepthwiseConv:
    """Depthwise 3x3 convolution, stride 1, same padding, then ReLU; weights [3,3,C], bias [C]."""

    def __init__(self, generator: np.random.Generator, channels: int) -> None:
        self.weights = [he_normal(generator, (3, 3, channels), 9), np.zeros(channels, np.float32)]
        self.gradients: list[Floats] = []

    def forward(self, x: Floats) -> Floats:
        """Return relu(x * w + b), same shape."""
        self.padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
        self.shape = x.shape
        y = np.broadcast_to(self.weights[1], x.shape).copy()
        for i, j, tap in self.taps(self.padded):
            y += tap * self.weights[0][i, j]
        y = np.maximum(y, 0)
        self.active = y > 0
        result: Floats = y
        return result

    def backward(self, dy: Floats) -> Floats:
        """Return dx; sets the gradients of weights and bias."""
        dy = dy * self.active
        dw = np.empty_like(self.weights[0])
        dx = np.zeros_like(self.padded)
        for i, j, tap in self.taps(self.padded):
            dw[i, j] = (tap * dy).sum(axis=(0, 1, 2))
        for i, j, tap in self.taps(dx):
            tap[...] += dy * self.weights[0][i, j]  # a view: adds into dx
        self.gradients = [dw, dy.sum(axis=(0, 1, 2))]
        return dx[:, 1:-1, 1:-1]

    def taps(self, padded: Floats) -> list[tuple[int, int, Floats]]:
        """Return the nine shifted views of a padded image batch, with their place in the window."""
        height, width = self.shape[1:3]
        return [(i, j, padded[:, i : i + height, j : j + width]) for i in range(3) for j in range(3)]

    def onnx_weights(self) -> list[Floats]:
        """Return weights as ONNX has them, [C,1,3,3], and the bias."""
        return [np.ascontiguousarray(self.weights[0].transpose(2, 0, 1)[:, None]), self.weights[1]]


class MaxPool:
    """Largest of each 2x2 block."""

    def __init__(self) -> None:
        self.weights: list[Floats] = []
        self.gradients: list[Floats] = []

    def forward(self, x: Floats) -> Floats:
        """Return [N,H/2,W/2,C]."""
        n, height, width, channels = x.shape
        blocks = x.reshape(n, height // 2, 2, width // 2, 2, channels)
        y: Floats = blocks.max(axis=(2, 4))
        largest = blocks == y[:, :, None, :, None]
        self.share = largest / largest.sum(axis=(2, 4), keepdims=True)
        self.shape = x.shape
        return y

    def backward(self, dy: Floats) -> Floats:
        """Return dx: each block's gradient goes to its largest element, equal ones share it."""
        result: Floats = (self.share * dy[:, :, None, :, None]).reshape(self.shape).astype(np.float32)
        return result


class Classifier:
    """Mean over the pixels, then a fully connected layer; weights [C,classes], bias [classes]; returns logits."""

    def __init__(self, generator: np.random.Generator, channels: int) -> None:
        self.weights = [
            he_normal(generator, (channels, digits.CLASSES), channels),
            np.zeros(digits.CLASSES, np.float32),
        ]
        self.gradients: list[Floats] = []

    def forward(self, x: Floats) -> Floats:
        """Return logits [N,classes]."""
        self.shape = x.shape
        self.mean: Floats = x.mean(axis=(1, 2))
        result: Floats = self.mean @ self.weights[0] + self.weights[1]
        return result

    def backward(self, dy: Floats) -> Floats:
        """Return dx; sets the gradients of weights and bias."""
        self.gradients = [self.mean.T @ dy, dy.sum(axis=0)]
        dx = (dy @ self.weights[0].T)[:, None, None] / (self.shape[1] * self.shape[2])
        return np.broadcast_to(dx, self.shape).astype(np.float32)

    def onnx_weights(self) -> list[Floats]:
        """Return weights as Gemm with transB has them, [classes,C], and the bias."""
        return [np.ascontiguousarray(self.weights[0].T), self.weights[1]]


def he_normal(generator: np.random.Generator, shape: tuple[int, ...], fan_in: int) -> Floats:
    """Return initial weights for a layer before a ReLU (He et al. 2015)."""
    result: Floats = (generator.standard_normal(shape) * np.sqrt(2 / fan_in)).astype(np.float32)
    return result


def build(generator: np.random.Generator) -> list[Layer]:
    """Return the untrained network."""
    return [
        Conv(generator, 3, 1, 32),
        Conv(generator, 3, 32, 48),
        MaxPool(),
        DepthwiseConv(generator, 48),
        Conv(generator, 1, 48, 64),
        Classifier(generator, 64),
    ]


def load(model: onnx.ModelProto) -> list[Layer]:
    """Return the network of a model that `to_onnx` wrote."""
    network = build(np.random.default_rng(0))
    tensors = iter(numpy_helper.to_array(tensor) for tensor in model.graph.initializer)
    for layer in network:
        if layer.weights:
            weights, bias = next(tensors), next(tensors)
            shape = layer.weights[0].shape
            layer.weights[0][...] = weights.transpose(_FROM_ONNX[weights.ndim]).reshape(shape)
            layer.weights[1][...] = bias
    return network


def predict(network: list[Layer], x: Floats) -> Floats:
    """Return logits [N,classes] of images [N,H,W,1]."""
    for layer in network:
        x = layer.forward(x)
    return x


def augment(generator: np.random.Generator, images: Floats) -> Floats:
    """Return each image [H,W,1] turned, zoomed and shifted a little, with sensor noise."""
    out = np.empty_like(images)
    for k, image in enumerate(images):
        angle = np.deg2rad(generator.uniform(-ROTATION_DEGREES, ROTATION_DEGREES))
        zoom = 1 + generator.uniform(-ZOOM, ZOOM)
        matrix = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) / zoom
        centre = np.array([3.5, 3.5])
        offset = centre - matrix @ centre + generator.uniform(-SHIFT_PIXELS, SHIFT_PIXELS, 2)
        out[k, :, :, 0] = ndimage.affine_transform(image[:, :, 0], matrix, offset, order=1)
    out += generator.standard_normal(out.shape).astype(np.float32) * SENSOR_NOISE
    return np.clip(out, 0, 1)


def loss_gradient(logits: Floats, y: npt.NDArray[np.int64]) -> Floats:
    """Return the gradient of the mean cross entropy with smoothed labels."""
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    target = np.full(logits.shape, LABEL_SMOOTHING / digits.CLASSES, np.float32)
    target[np.arange(len(y)), y] += 1 - LABEL_SMOOTHING
    result: Floats = ((e / e.sum(axis=1, keepdims=True) - target) / len(y)).astype(np.float32)
    return result


def train(
    network: list[Layer],
    data: digits.Digits,
    generator: np.random.Generator,
    *,
    epochs: int = EPOCHS,
    learning_rate: float = LEARNING_RATE,
) -> None:
    """Train in place with Adam and a cosine learning rate; leaves the moving average of the weights."""
    layers = [layer for layer in network if layer.weights]
    weights = [w for layer in layers for w in layer.weights]
    moments = [(np.zeros_like(w), np.zeros_like(w)) for w in weights]
    average = [w.copy() for w in weights]
    images = data.x.transpose(0, 2, 3, 1)
    steps = epochs * (len(images) // BATCH)
    step = 0
    for epoch in range(epochs):
        augmented = augment(generator, images)
        order = generator.permutation(len(images))
        for begin in range(0, len(order) - BATCH + 1, BATCH):
            chosen = order[begin : begin + BATCH]
            dy = loss_gradient(predict(network, augmented[chosen]), data.y[chosen])
            for layer in reversed(network):
                dy = layer.backward(dy)
            step += 1
            rate = learning_rate * 0.5 * (1 + np.cos(np.pi * step / steps))
            gradients = [g for layer in layers for g in layer.gradients]
            for w, g, (first, second), mean in zip(weights, gradients, moments, average, strict=True):
                first[...] += (1 - ADAM_DECAY[0]) * (g - first)
                second[...] += (1 - ADAM_DECAY[1]) * (g * g - second)
                scale = np.sqrt(1 - ADAM_DECAY[1] ** step) / (1 - ADAM_DECAY[0] ** step)
                w[...] -= np.float32(rate) * (np.float32(scale) * first / (np.sqrt(second) + 1e-8) + WEIGHT_DECAY * w)
                mean[...] += np.float32(1 - AVERAGE_DECAY) * (w - mean)
        if (epoch + 1) % 10 == 0:
            print(f"epoch {epoch + 1} of {epochs}", file=sys.stderr)
    for w, mean in zip(weights, average, strict=True):
        w[...] = mean


def accuracy(network: list[Layer], data: digits.Digits) -> float:
    """Return the share of images whose class is found."""
    logits = predict(network, data.x.transpose(0, 2, 3, 1))
    return float((logits.argmax(axis=1) == data.y).mean())


def to_onnx(network: list[Layer]) -> onnx.ModelProto:
    """Return the network as an ONNX model, opset 13, free batch."""
    nodes: list[onnx.NodeProto] = []
    constants: list[onnx.TensorProto] = []
    tensor = digits.INPUT_NAME

    def add(operator: str, output: str, weights: list[Floats] | None = None, **attributes: Any) -> None:
        nonlocal tensor
        names = [f"{output}.{role}" for role, _ in zip(("weight", "bias"), weights or [], strict=False)]
        constants.extend(numpy_helper.from_array(w, name) for w, name in zip(weights or [], names, strict=True))
        nodes.append(helper.make_node(operator, [tensor, *names], [output], name=output, **attributes))
        tensor = output

    for layer in network:
        match layer:
            case Conv():
                pads = [layer.size // 2] * 4
                name = f"conv{len(nodes)}"
                add("Conv", name, layer.onnx_weights(), kernel_shape=[layer.size] * 2, pads=pads)
                add("Relu", f"{name}.relu")
            case DepthwiseConv():
                name = f"depthwise{len(nodes)}"
                channels = layer.weights[0].shape[2]
                add("Conv", name, layer.onnx_weights(), kernel_shape=[3, 3], pads=[1] * 4, group=channels)
                add("Relu", f"{name}.relu")
            case MaxPool():
                add("MaxPool", "pool", kernel_shape=[2, 2], strides=[2, 2])
            case Classifier():
                add("GlobalAveragePool", "mean")
                add("Flatten", "features", axis=1)
                add("Gemm", "logits", layer.onnx_weights(), transB=1)
                add("Softmax", digits.OUTPUT_NAME, axis=1)
    graph = helper.make_graph(
        nodes,
        "digits",
        [helper.make_tensor_value_info(digits.INPUT_NAME, TensorProto.FLOAT, ["N", 1, 8, 8])],
        [helper.make_tensor_value_info(digits.OUTPUT_NAME, TensorProto.FLOAT, ["N", digits.CLASSES])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], producer_name="tools/train_digits.py")
    model.ir_version = 8
    onnx.checker.check_model(model, full_check=True)
    return model
