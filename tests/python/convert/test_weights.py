# SPDX-License-Identifier: Apache-2.0
"""Whatever the layer, the quantized weights keep the rules of the artifact, or the layer is refused."""

from __future__ import annotations

import numpy as np
import pytest

from edgeml.convert.weights import quantize_weights
from edgeml.errors import ConversionError
from edgeml.ir import QuantParams


def params(scale: float, zero_point: int = 0) -> QuantParams:
    return QuantParams(float(np.float32(scale)), zero_point)


def check_rules(w: np.ndarray, bias: np.ndarray, multiplier: np.ndarray, zero_point: int) -> None:
    wide = w.astype(object)
    for row, b, m in zip(wide, bias.astype(object), multiplier, strict=True):
        assert 255 * sum(abs(v) for v in row) + abs(b - zero_point * sum(row)) <= 2**31 - 1
        assert np.float32(2.0**-32) <= m < 2**8
    assert w.dtype == np.int8
    assert w.min() >= -127
    assert multiplier.dtype == np.float32


def test_plain_layer() -> None:
    weights = np.array([[1.27, -0.5], [0.0254, 0.0127]])
    x, y = params(0.1, -20), params(0.05)
    result = quantize_weights(weights, np.array([1.0, -0.5]), x, y)
    assert result.w.tolist() == [[127, -50], [127, 64]]
    assert result.bias.tolist() == [1000, -25000]
    scales = np.array([1.27 / 127, 0.0254 / 127])
    assert result.multiplier.tolist() == (x.scale * scales / y.scale).astype(np.float32).tolist()


@pytest.mark.parametrize("bias", [0.0, 1.0, -1e4, 1e6, 1e30])
@pytest.mark.parametrize("size", [0.0, 1e-38, 1e-9, 1e-3, 1.0, 50.0])
@pytest.mark.parametrize("zero_point", [-128, 0, 127])
def test_rules_hold_for_every_magnitude(bias: float, size: float, zero_point: int) -> None:
    rng = np.random.default_rng(3)
    weights = rng.normal(size=(3, 2000)) * size
    x, y = params(0.02, zero_point), params(0.1)
    try:
        result = quantize_weights(weights, np.array([bias, -bias, 0.0]), x, y)
    except ConversionError:
        # A bias that int32 holds only at a multiplier of 2^8 or more: far outside what the output can show.
        assert abs(bias) / y.scale > 2.0**31
        return
    check_rules(result.w, result.bias, result.multiplier, zero_point)


def test_deep_layer_gets_coarser_weights_instead_of_overflow() -> None:
    weights = np.ones((1, 80_000))
    result = quantize_weights(weights, np.zeros(1), params(0.01, -128), params(1.0))
    check_rules(result.w, result.bias, result.multiplier, -128)
    assert result.w.max() == 64
    real = result.w.astype(np.float64).sum() * result.multiplier[0]
    assert real == pytest.approx(80_000 * 0.01, rel=0.02)


def test_output_range_that_is_too_small_is_refused() -> None:
    with pytest.raises(ConversionError, match="2\\^8"):
        quantize_weights(np.ones((1, 4)), np.zeros(1), params(10.0), params(1e-6))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(value: float) -> None:
    with pytest.raises(ConversionError, match="finite"):
        quantize_weights(np.array([[1.0, value]]), np.zeros(1), params(1.0), params(1.0))
    with pytest.raises(ConversionError, match="finite"):
        quantize_weights(np.ones((1, 2)), np.array([value]), params(1.0), params(1.0))
