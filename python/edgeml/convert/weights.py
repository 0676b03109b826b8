# SPDX-License-Identifier: Apache-2.0
"""Float weights and bias -> s8 weights, s32 bias and f32 multipliers, with the proof that int32 cannot overflow."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from edgeml.convert.layer_hessian import Moments, shrunk
from edgeml.convert.options import ConvertOptions
from edgeml.convert.quantizer import MULTIPLIER_MAX, MULTIPLIER_MIN, Quantizer
from edgeml.convert.rounding import best_scales, descend, round_in_order
from edgeml.convert.stored import WEIGHT_MAX, stored_integers
from edgeml.errors import ConversionError
from edgeml.ir import Node, QuantParams

Array = npt.NDArray[Any]
ACCUMULATOR_MAX: Final = 2**31 - 1
DESCENT_SWEEPS: Final = 3


class QuantizedWeights(NamedTuple):
    """w s8 [O, K] in [-127, 127]; bias s32 [O] at scale S_x*S_w; multiplier f32 [O]."""

    w: Array
    bias: Array
    multiplier: Array


class FloatLayer(NamedTuple):
    """weights [O, K], bias [O], and the quantization of input and output."""

    weights: Array
    bias: Array
    x: QuantParams
    y: QuantParams


def _check_finite(weights: Array, bias: Array) -> None:
    if not (np.all(np.isfinite(weights)) and np.all(np.isfinite(bias))):
        raise ConversionError("a weight or bias is not finite; train the model again")


def quantize_weights(weights: Array, bias: Array, x: QuantParams, y: QuantParams) -> QuantizedWeights:
    """Per output channel: S_w = max|w| / 127, made larger until every rule of the artifact holds.

    weights float [O, K], bias float [O]. The rules: 255*sum|w| + |b - Z_x*sum w| <= 2^31 - 1 and
    2^-32 <= m = f32(f64(S_x)*f64(S_w)/f64(S_y)) < 2^8.

    Raises:
        ConversionError: a weight is not finite, or a multiplier is too large.
    """
    _check_finite(weights, bias)
    wide, wide_bias = weights.astype(np.float64), bias.astype(np.float64)
    unit = y.scale / x.scale  # S_w at a multiplier of 1
    scale = np.maximum(np.abs(wide).max(axis=1) / WEIGHT_MAX, MULTIPLIER_MIN * unit)
    while True:
        result = _at_scale(wide, wide_bias, scale, x, y)
        fits = _fits(result, x.zero_point)
        if np.all(fits):
            break
        scale = np.where(fits, scale, scale * 2)
    if np.any(result.multiplier >= MULTIPLIER_MAX):
        raise ConversionError("its output range is over 2^8 times smaller than its products")
    return result


def _at_scale(weights: Array, bias: Array, scale: Array, x: QuantParams, y: QuantParams) -> QuantizedWeights:
    w = np.clip(np.rint(weights / scale[:, None]), -WEIGHT_MAX, WEIGHT_MAX).astype(np.int8)
    wide_bias = np.clip(np.rint(bias / (x.scale * scale)), -(2.0**40), 2.0**40)  # beyond int32: fails the proof
    return QuantizedWeights(w, wide_bias.astype(np.int64), (x.scale * scale / y.scale).astype(np.float32))


def _fits(result: QuantizedWeights, zero_point: int) -> Array:
    w = result.w.astype(np.int64)
    folded = np.abs(result.bias - zero_point * w.sum(axis=1))
    in_int32: Array = np.abs(result.bias) <= ACCUMULATOR_MAX
    fits: Array = in_int32 & (255 * np.abs(w).sum(axis=1) + folded <= ACCUMULATOR_MAX)
    return fits & (result.multiplier >= MULTIPLIER_MIN)


def layer_constants(
    node: Node, quantizer: Quantizer, weights: Array, x_means: Array | None
) -> tuple[QuantizedWeights, str, str]:
    """Quantize a layer's weights [O, K]; returns them and the names of the bias and multiplier constants.

    x_means float [O, K]: the mean of the input under each weight, for bias correction; None for no correction.
    """
    graph = quantizer.graph
    bias_name = node.inputs[2] if len(node.inputs) > 2 else ""
    bias = graph.constant(bias_name) if bias_name else np.zeros(len(weights))
    x, y = quantizer.quant(node.inputs[0]), quantizer.quant(node.output)
    assert bias is not None  # noqa: S101 (the rule's check has refused others)
    try:
        kept = _stored(node, quantizer, weights, bias)
        if kept is not None:
            return _constants(node, quantizer, kept)
        if quantizer.moments_of is not None:
            result = compensate(FloatLayer(weights, bias, x, y), quantizer.moments_of(node), quantizer.options)
        else:
            result = quantize_weights(weights, bias, x, y)
            if x_means is not None and quantizer.options.bias_correction:
                real_scale = result.multiplier.astype(np.float64) * y.scale / x.scale
                error = weights - result.w * real_scale[:, None]
                result = quantize_weights(weights, bias + (error * x_means).sum(axis=1), x, y)
    except ConversionError as error:
        raise ConversionError(f"node {node.name!r} ({node.op}) cannot be quantized: {error}") from error
    return _constants(node, quantizer, result)


def _constants(node: Node, quantizer: Quantizer, result: QuantizedWeights) -> tuple[QuantizedWeights, str, str]:
    bias_constant = quantizer.constant(f"{node.name}/bias_s32", result.bias.astype(np.int32))
    return result, bias_constant, quantizer.constant(f"{node.name}/multiplier", result.multiplier)


def _stored(node: Node, quantizer: Quantizer, weights: Array, bias: Array) -> QuantizedWeights | None:
    """What the source model stored of a layer; None where it stored nothing, or nothing that the artifact can hold."""
    layer = quantizer.stored.layers.get(node.name)
    if layer is None:
        return None
    x = quantizer.quant(node.inputs[0])
    found = stored_integers(layer, weights, bias, x, quantizer.quant(node.output))
    if found is not None:
        # Below 2^-32 every result is the zero point, and it is with 2^-32 too: an accumulator is under 2^31.
        result = QuantizedWeights(found.w, found.bias, np.maximum(found.multiplier, np.float32(MULTIPLIER_MIN)))
        if np.all(_fits(result, x.zero_point)) and np.all(result.multiplier < MULTIPLIER_MAX):
            return result
    quantizer.requantized_layers.append(node.name)
    return None


def compensate(layer: FloatLayer, moments: Moments, options: ConvertOptions) -> QuantizedWeights:
    """As `quantize_weights`, with weights and bias that have the least squared error on what the int8 layer reads."""
    weights, bias, x, y = layer
    _check_finite(weights, bias)
    groups = len(moments.gram)
    source = weights.astype(np.float64).reshape(groups, -1, weights.shape[1])
    gram = shrunk(moments)
    unit = y.scale / x.scale
    least = MULTIPLIER_MIN * unit
    scale = np.maximum(best_scales(source, np.diagonal(gram, axis1=1, axis2=2)), least)
    while True:
        q = round_in_order(source, scale, gram)
        if options.rounding_method == "descent":
            q = descend(q, source, scale, gram, DESCENT_SWEEPS)
        shift = ((source - q * scale[:, :, None]) * moments.mean[:, None, :]).sum(axis=2) * x.scale
        flat_scale = scale.reshape(-1)
        moved = bias.astype(np.float64) + (shift.reshape(-1) if options.bias_correction else 0.0)
        corrected = moved / (x.scale * flat_scale)
        wide_bias = np.clip(np.rint(corrected), -(2.0**40), 2.0**40).astype(np.int64)
        multiplier = (x.scale * flat_scale / y.scale).astype(np.float32)
        result = QuantizedWeights(q.reshape(weights.shape).astype(np.int8), wide_bias, multiplier)
        fits = _fits(result, x.zero_point)
        if np.all(fits):
            break
        scale = np.where(fits.reshape(scale.shape), scale, scale * 2)
    if np.any(result.multiplier >= MULTIPLIER_MAX):
        raise ConversionError("its output range is over 2^8 times smaller than its products")
    return result
