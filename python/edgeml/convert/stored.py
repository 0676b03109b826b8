# SPDX-License-Identifier: Apache-2.0
"""What a quantized model stores of its constants, and a layer's integers found again behind its float weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from edgeml.convert.float_node import normal_axis
from edgeml.ir import QuantParams

Array = npt.NDArray[Any]
OFF_GRID_MAX: Final = 1e-3  # of a step: float32 weights lie that near to integers times their scale
WEIGHT_MAX: Final = 127
BIAS_MAX: Final = 2**31 - 1


@dataclass(frozen=True)
class StoredConstant:
    """Integers [*shape], their scale and zero point, one each or one for each position of `axis`."""

    values: Array
    scale: Array
    zero_point: Array
    axis: int

    def real(self) -> Array:
        """The float32 values, as DequantizeLinear computes them."""
        shape = [1] * self.values.ndim
        if self.scale.size > 1:
            shape[normal_axis(self.axis, self.values.ndim)] = self.scale.size
        centred = self.values.astype(np.int64) - self.zero_point.astype(np.int64).reshape(
            shape if self.zero_point.size > 1 else ()
        )
        scale = self.scale.astype(np.float32).reshape(shape if self.scale.size > 1 else ())
        return np.asarray(centred.astype(np.float32) * scale)


@dataclass(frozen=True)
class StoredLayer:
    """Of a layer with weights: scale of each output channel (or one), and its bias where that is quantized."""

    weight_scale: Array
    bias: StoredConstant | None


@dataclass(frozen=True)
class Stored:
    """What a quantized model carries: layers by node name, constants by the name of their float tensor."""

    layers: Mapping[str, StoredLayer]
    constants: Mapping[str, StoredConstant]

    def activation_params(self, name: str) -> QuantParams | None:
        """Scale and zero point of a constant of 8 bits with one scale, as an activation has them; None of others."""
        one = self.constants.get(name)
        if (
            one is None
            or one.values.dtype not in (np.int8, np.uint8)
            or one.scale.size != 1
            or one.zero_point.size != 1
        ):
            return None
        zero = int(one.zero_point.reshape(()))
        try:
            return QuantParams(float(one.scale.reshape(())), zero if one.values.dtype == np.int8 else zero - 128)
        except ValueError:  # a scale that is zero, negative or subnormal
            return None


class StoredIntegers(NamedTuple):
    """w s8 [O, K] in [-127, 127]; bias [O] at scale S_x*S_w; multiplier f32 [O]."""

    w: Array
    bias: Array
    multiplier: Array


def stored_integers(
    layer: StoredLayer, weights: Array, bias: Array, x: QuantParams, y: QuantParams
) -> StoredIntegers | None:
    """Weights float [O, K] and bias float [O] as the integers that they were made of.

    None where they are not on that grid any more, or the artifact cannot hold them (a zero point beside the middle, the value -128).
    The multiplier is f32(f32(S_x * S_w) / S_y), as onnxruntime computes it, so that its accumulators are rounded alike.
    """
    scale = np.broadcast_to(layer.weight_scale, (len(weights),))
    if not np.all(scale > 0) or not np.all(np.isfinite(weights)):
        return None
    steps = weights.astype(np.float64) / scale[:, None]
    w = np.rint(steps)
    if np.any(np.abs(steps - w) > OFF_GRID_MAX) or np.any(np.abs(w) > WEIGHT_MAX):
        return None
    unit = np.float32(x.scale) * scale.astype(np.float32)
    integers = np.rint(bias.astype(np.float64) / unit.astype(np.float64))
    if layer.bias is not None and layer.bias.values.size == len(bias):
        same_scale = np.allclose(np.broadcast_to(layer.bias.scale, bias.shape), unit, rtol=1e-6, atol=0)
        if same_scale and np.array_equal(layer.bias.real().reshape(-1), bias):
            integers = layer.bias.values.reshape(-1) - layer.bias.zero_point.astype(np.float64)
    if np.any(np.abs(integers) > BIAS_MAX):
        return None
    multiplier = unit / np.float32(y.scale)
    return StoredIntegers(w.astype(np.int8), integers.astype(np.int64), multiplier)
