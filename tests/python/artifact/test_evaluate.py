# SPDX-License-Identifier: Apache-2.0
"""The numpy evaluator against arithmetic done a second way: exact fractions for requantize, plain loops for windows."""

from fractions import Fraction

import numpy as np
import pytest

from edgeml.artifact.evaluate import evaluate, requantize
from edgeml.artifact.model import Graph, Node, Tensor

S8, F32, S32, U32 = (np.dtype(d) for d in (np.int8, np.float32, np.int32, np.uint32))


def round_half_even(value: Fraction) -> int:
    return round(value)  # Fraction.__round__ rounds half to even, exactly


def f32(value: Fraction) -> Fraction:
    """The float32 nearest to an exact value, ties to even; for normal results."""
    if value == 0:
        return value
    exponent = 0
    magnitude = abs(value)
    while magnitude >= 2**24:
        magnitude /= 2
        exponent += 1
    while magnitude < 2**23:
        magnitude *= 2
        exponent -= 1
    rounded = Fraction(round_half_even(magnitude)) * Fraction(2) ** exponent
    return rounded if value > 0 else -rounded


def test_requantize_equals_exact_arithmetic() -> None:
    rng = np.random.default_rng(1)
    accs = np.concatenate(
        [rng.integers(-(2**31), 2**31, 200), rng.integers(-5000, 5000, 400), [0, 2**24 + 1, -(2**31), 2**31 - 1]]
    )
    for acc in accs:
        multiplier = np.float32(rng.choice([0.5, 0.25, 2**-10, float(rng.uniform(1e-4, 0.1)), 3.0]))
        lo, hi = sorted(rng.integers(-128, 128, 2).tolist())
        zero_point = int(rng.integers(-128, 128))
        product = f32(f32(Fraction(int(acc))) * Fraction(float(multiplier)))
        expected = min(max(round_half_even(product), lo - zero_point), hi - zero_point) + zero_point
        assert requantize(np.array([acc], np.int32), multiplier, lo, hi, zero_point)[0] == expected


def single(op: str, attributes: list[int], x: Tensor, constants: list[np.ndarray], y: Tensor) -> Graph:
    tensors = [x, *(Tensor(f"c{i}", c.dtype, c.shape, data=c) for i, c in enumerate(constants)), y]
    node = Node(op, "node", tuple(range(len(tensors) - 1)), (len(tensors) - 1,), tuple(attributes))
    return Graph(tuple(tensors), (node,), (0,), (len(tensors) - 1,))


@pytest.mark.parametrize(
    ("stride", "dilation", "groups"), [((1, 1), (1, 1), 1), ((2, 1), (1, 2), 1), ((1, 2), (1, 1), 2)]
)
def test_conv2d_equals_plain_loops(stride: tuple[int, int], dilation: tuple[int, int], groups: int) -> None:
    rng = np.random.default_rng(2)
    channels, out_channels, kernel, pads = 4, 6, (3, 2), (1, 0, 2, 1)
    x = rng.integers(-128, 128, (2, channels, 7, 6)).astype(np.int8)
    w = rng.integers(-127, 128, (out_channels, *kernel, channels // groups)).astype(np.int8)
    bias = rng.integers(-999, 999, out_channels).astype(np.int32)
    multiplier = rng.uniform(1e-3, 1e-2, out_channels).astype(np.float32)
    zx, zy = 7, -3
    out_h = (7 + pads[0] + pads[2] - (kernel[0] - 1) * dilation[0] - 1) // stride[0] + 1
    out_w = (6 + pads[1] + pads[3] - (kernel[1] - 1) * dilation[1] - 1) // stride[1] + 1
    expected = np.empty((2, out_channels, out_h, out_w), np.int8)
    for n, o, oy, ox in np.ndindex(expected.shape):
        acc = int(bias[o])
        for ky, kx, c in np.ndindex(*w.shape[1:]):
            iy, ix = oy * stride[0] + ky * dilation[0] - pads[0], ox * stride[1] + kx * dilation[1] - pads[1]
            if 0 <= iy < 7 and 0 <= ix < 6:
                channel = c + o // (out_channels // groups) * (channels // groups)
                acc += (int(x[n, channel, iy, ix]) - zx) * int(w[o, ky, kx, c])
        expected[n, o, oy, ox] = requantize(np.array(acc, np.int32), multiplier[o], -100, 90, zy)
    graph = single(
        "conv2d",
        [*stride, *dilation, *pads, groups, -100, 90],
        Tensor("x", S8, (0, channels, 7, 6), 0.1, zx),
        [w, bias, multiplier],
        Tensor("y", S8, (0, out_channels, out_h, out_w), 0.1, zy),
    )
    assert np.array_equal(evaluate(graph, {"x": x})["y"], expected)


def test_average_pool_counts_only_taps_inside() -> None:
    x = np.full((1, 1, 3, 3), 50, np.int8)
    multiplier = np.array([1 / n for n in range(1, 5)], np.float32)
    graph = single(
        "average_pool2d",
        [2, 2, 2, 2, 1, 1, 0, 0, -128, 127],
        Tensor("x", S8, (0, 1, 3, 3), 0.5, 10),
        [multiplier],
        Tensor("y", S8, (0, 1, 2, 2), 0.5, 10),
    )
    assert np.array_equal(evaluate(graph, {"x": x})["y"], np.full((1, 1, 2, 2), 50, np.int8))


def test_softmax_as_int8_and_as_float() -> None:
    table = np.rint(2.0**23 * np.exp(-0.1 * np.arange(256))).astype(np.uint32)
    x = np.array([[3, -7, 3, -128]], np.int8)
    source = Tensor("x", S8, (0, 4), 0.1, 0)
    e = [int(table[3 - int(q)]) for q in x[0]]
    s = sum(e)
    as_float = evaluate(single("softmax", [], source, [table], Tensor("y", F32, (0, 4))), {"x": x})["y"]
    assert as_float.tolist() == [[float(np.float32(v / s)) for v in e]]
    as_int8 = evaluate(single("softmax", [], source, [table], Tensor("y", S8, (0, 4), 1 / 256, -128)), {"x": x})["y"]
    assert as_int8.tolist() == [[min(255, (256 * v + s // 2) // s) - 128 for v in e]]


def test_quantize_sends_nan_to_the_zero_point_and_saturates() -> None:
    x = np.array([[np.nan, np.inf, -np.inf, 0.05, 0.15, -0.25]], np.float32)
    graph = single("quantize", [], Tensor("x", F32, (0, 6)), [], Tensor("y", S8, (0, 6), 0.1, 5))
    assert evaluate(graph, {"x": x})["y"].tolist() == [
        [5, 127, -128, *(round(float(v / np.float32(0.1))) + 5 for v in x[0, 3:])]
    ]
