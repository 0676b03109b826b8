# SPDX-License-Identifier: Apache-2.0
"""lut: a function of one value as a table over the 256 inputs, computed in float64."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgeml.convert.float_node import clamp_of
from edgeml.convert.ops.rule import OperatorRule, OutputRange
from edgeml.convert.quantizer import Quantizer
from edgeml.ir import Graph, Node

Array = npt.NDArray[Any]
_Attributes = Mapping[str, Any]


def _sigmoid(x: Array, _: _Attributes) -> Array:
    y: Array = 1.0 / (1.0 + np.exp(-x))
    return y


def _hard_sigmoid(x: Array, a: _Attributes) -> Array:
    y: Array = np.clip(a.get("alpha", 0.2) * x + a.get("beta", 0.5), 0.0, 1.0)
    return y


def _elu(x: Array, a: _Attributes) -> Array:
    return np.where(x < 0, a.get("alpha", 1.0) * np.expm1(np.minimum(x, 0)), x)


FUNCTIONS: Final[Mapping[str, Callable[[Array, _Attributes], Array]]] = {  # as the ONNX specification defines them
    "Sigmoid": _sigmoid,
    "Tanh": lambda x, _: np.tanh(x),
    "HardSwish": lambda x, _: x * np.clip(x / 6.0 + 0.5, 0.0, 1.0),
    "HardSigmoid": _hard_sigmoid,
    "LeakyRelu": lambda x, a: np.where(x < 0, a.get("alpha", 0.01) * x, x),
    "Elu": _elu,
    "Exp": lambda x, _: np.exp(x),
}


def check(node: Node, graph: Graph) -> None:
    """A Clip has constant bounds."""
    if node.op in ("Relu", "Clip"):
        clamp_of(node, graph)


def quantize(node: Node, quantizer: Quantizer) -> None:
    """Emit one lut; at a float32 graph output its table is float32 and nothing is rounded to 8 bits."""
    x = quantizer.quant(node.inputs[0])
    real = x.scale * (np.arange(-128, 128, dtype=np.float64) - x.zero_point)
    with np.errstate(over="ignore"):
        values = _function(node, quantizer.graph)(real)
    largest = float(np.finfo(np.float32).max)
    values = np.clip(values, -largest, largest)
    source = quantizer.s8(node.inputs[0])
    if quantizer.is_float_output(node):
        table = quantizer.constant(f"{node.name}/table", values.astype(np.float32))
        quantizer.emit_float("lut", node, [source, table])
        return
    y = quantizer.quant(node.output)
    rounded = np.clip(np.rint(values / y.scale) + y.zero_point, -128, 127).astype(np.int8)
    quantizer.emit("lut", node, [source, quantizer.constant(f"{node.name}/table", rounded)])


def _function(node: Node, graph: Graph) -> Callable[[Array], Array]:
    if node.op in ("Relu", "Clip"):
        bounds = clamp_of(node, graph)
        high = bounds.high if math.isfinite(bounds.high) else None
        low = bounds.low if math.isfinite(bounds.low) else None
        return lambda x: np.clip(x, low, high) if (low, high) != (None, None) else x
    return lambda x: FUNCTIONS[node.op](x, node.attributes)


RULE = OperatorRule((*FUNCTIONS, "Relu", "Clip"), OutputRange.OWN, check, quantize)
