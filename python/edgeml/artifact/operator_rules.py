# SPDX-License-Identifier: Apache-2.0
"""Section 5 of the artifact format: what operators ask of their tensors and attributes, one function for each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from edgeml.artifact.model import Graph, Node, Tensor
from edgeml.artifact.operators import BY_NAME, PLAIN_CODE_MIN
from edgeml.artifact.plain_rules import check_plain_node
from edgeml.errors import ArtifactError

MULTIPLIER_MIN: Final = 2.0**-32
MULTIPLIER_MAX: Final = 2.0**8  # exclusive
ACCUMULATOR_MAX: Final = 2**31 - 1
SOFTMAX_ENTRY_MAX: Final = 2**24
MATMUL_DEPTH_MAX: Final = 32768
NORM_CHANNELS_MAX: Final = 16384
NORM_GAIN_MAX: Final = 2.0**16  # exclusive
NORM_SHIFT_MAX: Final = 2.0**30  # exclusive
RESIZE_WEIGHT_SUM: Final = 1024
WINDOW_MAX: Final = 4096  # kernel, stride and dilation; pads too


class _Call(NamedTuple):
    """One node with its tensors resolved."""

    node: Node
    inputs: tuple[Tensor, ...]
    y: Tensor
    attributes: Mapping[str, int]

    @property
    def x(self) -> Tensor:
        return self.inputs[0]

    def require(self, condition: object, rule: str) -> None:
        if not condition:
            raise ArtifactError(f"node {self.node.name!r} ({self.node.op}): {rule}")

    def each(self, word: str) -> tuple[int, ...]:
        """The values of an attribute that has one per axis."""
        return tuple(self.attributes[f"{word}[{axis}]"] for axis in range(8))


def check_node(graph: Graph, node: Node) -> None:
    """Raise ArtifactError where a node, its counts of inputs and attributes checked before, breaks a rule."""
    if BY_NAME[node.op].code >= PLAIN_CODE_MIN:
        check_plain_node(graph, node)
        return
    call = _Call(
        node, tuple(graph.tensors[i] for i in node.inputs), graph.tensors[node.outputs[0]], node.named_attributes()
    )
    if "act_min" in call.attributes:
        low, high = call.attributes["act_min"], call.attributes["act_max"]
        call.require(
            -128 <= low <= high <= 127, f"activation bounds {low}..{high} are not -128 <= act_min <= act_max <= 127"
        )
    _RULES[node.op](call)


def _activation(c: _Call, tensor: Tensor, dtype: npt.DTypeLike = np.int8) -> None:
    c.require(
        tensor.data is None and tensor.dtype == dtype, f"{tensor.name!r} is not a {np.dtype(dtype).name} activation"
    )
    c.require(tensor.dtype != np.int8 or tensor.scale, f"{tensor.name!r} has no scale")


def _constant(c: _Call, tensor: Tensor, dtype: npt.DTypeLike, dims: tuple[int, ...]) -> npt.NDArray[Any]:
    c.require(
        tensor.dtype == dtype and tensor.dims == dims,
        f"{tensor.name!r} is not a {np.dtype(dtype).name} constant of {dims}",
    )
    if tensor.data is None:
        raise ArtifactError(f"node {c.node.name!r} ({c.node.op}): {tensor.name!r} is not a constant")
    return tensor.data


def _multiplier(c: _Call, tensor: Tensor, count: int) -> None:
    values = np.abs(_constant(c, tensor, np.float32, (count,)))
    signed = tensor.data is not None and c.node.op != "add" and bool(np.any(tensor.data < 0))
    inside = bool(np.all((values >= MULTIPLIER_MIN) & (values < MULTIPLIER_MAX)))
    c.require(inside and not signed, "a multiplier is not in [2^-32, 2^8)")


def _s8_to_s8(c: _Call) -> None:
    _activation(c, c.x)
    _activation(c, c.y)


def _same_quantization(c: _Call, tensor: Tensor) -> None:
    same = tensor.scale == c.y.scale and tensor.zero_point == c.y.zero_point
    c.require(same, f"{tensor.name!r} and {c.y.name!r} differ in scale or zero point")


def _same_dims(c: _Call, tensor: Tensor) -> None:
    c.require(tensor.dims == c.y.dims, f"{tensor.name!r} {tensor.dims} and {c.y.name!r} {c.y.dims} differ in dims")


def _quantize(c: _Call) -> None:
    _activation(c, c.x, np.float32)
    _activation(c, c.y)
    _same_dims(c, c.x)


def _dequantize(c: _Call) -> None:
    _activation(c, c.x)
    _activation(c, c.y, np.float32)
    _same_dims(c, c.x)


def _check_weights(c: _Call, dims: tuple[int, ...], channels: int, channel_axis: int) -> None:
    weights = _constant(c, c.inputs[1], np.int8, dims).astype(np.int64)
    bias = _constant(c, c.inputs[2], np.int32, (channels,)).astype(np.int64)
    _multiplier(c, c.inputs[3], channels)
    c.require(not np.any(weights == -128), "a weight is -128")
    others = tuple(axis for axis in range(weights.ndim) if axis != channel_axis)
    magnitude = np.abs(weights).sum(axis=others)
    folded = np.abs(bias - c.x.zero_point * weights.sum(axis=others))
    c.require(not np.any(255 * magnitude + folded > ACCUMULATOR_MAX), "an accumulator may pass int32")


def _check_window(c: _Call, kernel: tuple[int, int]) -> None:
    """The rules of windows, strides, dilations and pads; output height and width as in ONNX (floor)."""
    a = c.attributes
    for axis, side, first, last in ((2, "h", "top", "bottom"), (3, "w", "left", "right")):
        window, stride, dilation = kernel[axis - 2], a[f"stride_{side}"], a.get(f"dilation_{side}", 1)
        pads = a[f"pad_{first}"], a[f"pad_{last}"]
        c.require(
            all(1 <= v <= WINDOW_MAX for v in (window, stride, dilation)),
            f"window, stride or dilation not in 1..{WINDOW_MAX}",
        )
        extent = (window - 1) * dilation + 1
        c.require(
            all(0 <= pad <= WINDOW_MAX and pad < extent for pad in pads),
            "a pad is negative or not smaller than the window",
        )
        room = c.x.dims[axis] + sum(pads) - extent
        c.require(
            room >= 0 and c.y.dims[axis] == room // stride + 1,
            f"{c.y.name!r} {c.y.dims} does not follow from {c.x.dims}",
        )


def _rank4(c: _Call) -> None:
    _s8_to_s8(c)
    c.require(len(c.x.dims) == len(c.y.dims) == 4, "input and output are not [N, C, H, W]")


def _conv2d(c: _Call) -> None:
    _rank4(c)
    groups, channels, dims = c.attributes["groups"], c.y.dims[1], c.inputs[1].dims
    c.require(len(dims) == 4 and groups >= 1, "the weights are not [O, kh, kw, C/groups]")
    c.require(
        c.x.dims[1] == dims[3] * groups and channels == dims[0] and channels % groups == 0,
        "channels and groups do not fit",
    )
    c.require(groups == 1 or not c.inputs[1].block_rows, "block-sparse weights need groups = 1")
    _check_weights(c, dims, channels, channel_axis=0)
    _check_window(c, (dims[1], dims[2]))


def _depthwise_conv2d(c: _Call) -> None:
    _rank4(c)
    channels, dims = c.x.dims[1], c.inputs[1].dims
    c.require(len(dims) == 3 and dims[2] == channels == c.y.dims[1], "the weights are not [kh, kw, C]")
    _check_weights(c, dims, channels, channel_axis=2)
    _check_window(c, (dims[0], dims[1]))


def _fully_connected(c: _Call) -> None:
    _s8_to_s8(c)
    same = len(c.x.dims) == len(c.y.dims) >= 2 and c.x.dims[2:] == c.y.dims[2:] and c.x.dims[0] == c.y.dims[0]
    c.require(same, "input and output are not [N, K, ...] and [N, M, ...]")
    _check_weights(c, (c.y.dims[1], c.x.dims[1]), c.y.dims[1], channel_axis=0)


def _broadcast(c: _Call, tensor: Tensor) -> None:
    _activation(c, tensor)
    same = len(tensor.dims) == len(c.y.dims) and tensor.dims[0] == c.y.dims[0]
    fits = same and all(a in (1, b) for a, b in zip(tensor.dims[1:], c.y.dims[1:], strict=True))
    c.require(fits, f"{tensor.name!r} {tensor.dims} can not be broadcast to {c.y.dims}")


def _add(c: _Call) -> None:
    _s8_to_s8(c)
    _same_dims(c, c.x)
    _broadcast(c, c.inputs[1])
    _multiplier(c, c.inputs[2], 2)


def _mul(c: _Call) -> None:
    _s8_to_s8(c)
    _same_dims(c, c.x)
    _broadcast(c, c.inputs[1])
    _multiplier(c, c.inputs[2], 1)


def _matmul(c: _Call) -> None:
    _s8_to_s8(c)
    a, b, y = c.x, c.inputs[1], c.y
    _activation(c, b)
    c.require(len(a.dims) == len(b.dims) == len(y.dims) == 3, "an operand is not of rank 3")
    axis = c.attributes["depth_axis"]
    c.require(axis in (1, 2), "depth_axis is neither 1 nor 2")
    fits = b.dims[axis] == a.dims[1] and y.dims[1:] == (b.dims[3 - axis], a.dims[2]) and a.dims[0] == b.dims[0]
    c.require(fits, f"{a.dims} and {b.dims} do not give {y.dims}")
    c.require(a.dims[1] <= MATMUL_DEPTH_MAX, "an accumulator may pass int32")
    _multiplier(c, c.inputs[2], 1)


def _layer_norm(c: _Call) -> None:
    _s8_to_s8(c)
    _same_dims(c, c.x)
    c.require(len(c.x.dims) >= 2 and c.x.dims[1] <= NORM_CHANNELS_MAX, f"axis 1 is not in 1..{NORM_CHANNELS_MAX}")
    channels = c.x.dims[1]
    gain = _constant(c, c.inputs[1], np.float32, (channels,))
    shift = _constant(c, c.inputs[2], np.float32, (channels,))
    epsilon = _constant(c, c.inputs[3], np.float32, (1,))[0]
    c.require(np.all(np.abs(gain) < NORM_GAIN_MAX), "a gain is not below 2^16")
    c.require(np.all(np.abs(shift) < NORM_SHIFT_MAX), "a shift is not below 2^30")
    c.require(np.finfo(np.float32).tiny <= epsilon < NORM_SHIFT_MAX, "epsilon is not a normal number in (0, 2^30)")


def _constant_activation(c: _Call) -> None:
    _activation(c, c.y)
    _constant(c, c.x, np.int8, (1, *c.y.dims[1:]))


def _positions(c: _Call, tensor: Tensor, count: int, size: int) -> None:
    values = _constant(c, tensor, np.int32, (count,))
    c.require(np.all((values >= 0) & (values < size)), f"a position is not in 0..{size - 1}")


def _take(c: _Call) -> None:
    _s8_to_s8(c)
    _same_quantization(c, c.x)
    axis = c.attributes["axis"]
    c.require(1 <= axis < len(c.x.dims) == len(c.y.dims), f"axis {axis} is not in 1..{len(c.x.dims) - 1}")
    others = all(a == b for i, (a, b) in enumerate(zip(c.x.dims, c.y.dims, strict=True)) if i != axis)
    c.require(others, f"{c.x.dims} and {c.y.dims} differ beside axis {axis}")
    _positions(c, c.inputs[1], c.y.dims[axis], c.x.dims[axis])


def _resized(c: _Call) -> None:
    _rank4(c)
    c.require(c.x.dims[:2] == c.y.dims[:2], "input and output differ in batch or channels")


def _resize_nearest(c: _Call) -> None:
    _resized(c)
    _same_quantization(c, c.x)
    for axis in (2, 3):
        _positions(c, c.inputs[axis - 1], c.y.dims[axis], c.x.dims[axis])


def _resize_linear(c: _Call) -> None:
    _resized(c)
    for axis, taps in ((2, 1), (3, 3)):
        _positions(c, c.inputs[taps], 2 * c.y.dims[axis], c.x.dims[axis])
        _positions(c, c.inputs[taps + 1], c.y.dims[axis], RESIZE_WEIGHT_SUM + 1)
    _multiplier(c, c.inputs[5], 1)


def _pool(c: _Call) -> tuple[int, int]:
    _rank4(c)
    c.require(c.x.dims[1] == c.y.dims[1], "input and output differ in channels")
    kernel = c.attributes["kernel_h"], c.attributes["kernel_w"]
    _check_window(c, kernel)
    return kernel


def _average_pool2d(c: _Call) -> None:
    kernel_h, kernel_w = _pool(c)
    _multiplier(c, c.inputs[1], kernel_h * kernel_w)


def _max_pool2d(c: _Call) -> None:
    kernel = _pool(c)
    _same_quantization(c, c.x)
    a = c.attributes
    for axis, side, first in ((2, "h", "top"), (3, "w", "left")):
        taps = np.arange(kernel[axis - 2]) * a[f"dilation_{side}"]
        starts = np.arange(c.y.dims[axis]) * a[f"stride_{side}"] - a[f"pad_{first}"]
        at = starts[:, None] + taps
        c.require(np.all(np.any((at >= 0) & (at < c.x.dims[axis]), axis=1)), "a window holds no tap of the input")


def _lut(c: _Call) -> None:
    _activation(c, c.x)
    _same_dims(c, c.x)
    c.require(c.inputs[1].dtype in (np.int8, np.float32), "the table is neither s8 nor f32")
    _constant(c, c.inputs[1], c.inputs[1].dtype, (256,))
    _activation(c, c.y, c.inputs[1].dtype)


def _softmax(c: _Call) -> None:
    _activation(c, c.x)
    _same_dims(c, c.x)
    c.require(len(c.x.dims) >= 2, "input is not [N, C, ...]")
    table = _constant(c, c.inputs[1], np.uint32, (256,))
    c.require(table[0] >= 1 and np.all(table <= SOFTMAX_ENTRY_MAX), "the table has table[0] < 1 or an entry above 2^24")
    if c.y.dtype == np.float32:
        _activation(c, c.y, np.float32)
    else:
        _activation(c, c.y)
        c.require(c.y.scale == 2.0**-8 and c.y.zero_point == -128, "an s8 output has scale 2^-8 and zero point -128")


def _reshape(c: _Call) -> None:
    _s8_to_s8(c)
    _same_quantization(c, c.x)
    sizes = [int(np.prod(tensor.dims[1:], dtype=object)) for tensor in (c.x, c.y)]
    c.require(sizes[0] == sizes[1], f"{c.x.dims} and {c.y.dims} differ in elements per batch item")


def _concat(c: _Call) -> None:
    axis = c.attributes["axis"]
    c.require(1 <= axis < len(c.y.dims), f"axis {axis} is not in 1..{len(c.y.dims) - 1}")
    c.require(c.y.dtype in (np.int8, np.float32), "the output is neither s8 nor f32")
    _activation(c, c.y, c.y.dtype)
    for tensor in c.inputs:
        _activation(c, tensor, c.y.dtype)
        _same_quantization(c, tensor)
        same = len(tensor.dims) == len(c.y.dims) and all(
            a == b for i, (a, b) in enumerate(zip(tensor.dims, c.y.dims, strict=True)) if i != axis
        )
        c.require(same, f"{tensor.name!r} {tensor.dims} does not fit into {c.y.dims}")
    c.require(sum(tensor.dims[axis] for tensor in c.inputs) == c.y.dims[axis], "the inputs do not add up to the output")


def _pad(c: _Call) -> None:
    _s8_to_s8(c)
    _same_quantization(c, c.x)
    begin, end, rank = c.each("begin"), c.each("end"), len(c.x.dims)
    c.require(len(c.y.dims) == rank and begin[0] == end[0] == 0, "rank or batch changes")
    c.require(
        min(*begin, *end) >= 0 and not any(begin[rank:]) and not any(end[rank:]), "pads are negative or beyond the rank"
    )
    c.require(-128 <= c.attributes["value"] <= 127, "the value is not an s8")
    grown = tuple(d + b + e for d, b, e in zip(c.x.dims[1:], begin[1:], end[1:], strict=False))
    c.require(grown == c.y.dims[1:], f"{c.y.dims} is not {c.x.dims} with the pads")


def _slice(c: _Call) -> None:
    _s8_to_s8(c)
    _same_quantization(c, c.x)
    start, step, rank = c.each("start"), c.each("step"), len(c.x.dims)
    c.require(len(c.y.dims) == rank and start[0] == 0 and step[0] == 1, "rank or batch changes")
    unused = not any(start[rank:]) and all(s == 1 for s in step[rank:])
    c.require(
        min(step) >= 1 and min(start) >= 0 and unused,
        "a step is below 1, a start below 0, or one beyond the rank is set",
    )
    for axis in range(1, rank):
        last = start[axis] + (c.y.dims[axis] - 1) * step[axis]
        c.require(last < c.x.dims[axis], f"axis {axis} reads element {last} of {c.x.dims[axis]}")


def _transpose(c: _Call) -> None:
    _s8_to_s8(c)
    _same_quantization(c, c.x)
    perm, rank = c.each("perm"), len(c.x.dims)
    c.require(
        sorted(perm[:rank]) == list(range(rank)) and perm[0] == 0,
        f"{perm[:rank]} is not a permutation that keeps the batch",
    )
    c.require(all(perm[axis] == axis for axis in range(rank, 8)), "an entry beyond the rank is set")
    c.require(tuple(c.x.dims[axis] for axis in perm[:rank]) == c.y.dims, f"{c.y.dims} is not {c.x.dims} permuted")


def _rescale(c: _Call) -> None:
    _s8_to_s8(c)
    _same_dims(c, c.x)
    _multiplier(c, c.inputs[1], 1)


_RULES: Final[Mapping[str, Callable[[_Call], None]]] = {
    "quantize": _quantize,
    "dequantize": _dequantize,
    "conv2d": _conv2d,
    "depthwise_conv2d": _depthwise_conv2d,
    "fully_connected": _fully_connected,
    "add": _add,
    "average_pool2d": _average_pool2d,
    "max_pool2d": _max_pool2d,
    "lut": _lut,
    "softmax": _softmax,
    "reshape": _reshape,
    "concat": _concat,
    "pad": _pad,
    "slice": _slice,
    "transpose": _transpose,
    "rescale": _rescale,
    "mul": _mul,
    "matmul": _matmul,
    "layer_norm": _layer_norm,
    "constant": _constant_activation,
    "take": _take,
    "resize_nearest": _resize_nearest,
    "resize_linear": _resize_linear,
}
