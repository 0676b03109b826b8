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


def _erf(x: Array) -> Array:
    y: Array = np.vectorize(math.erf, otypes=[np.float64])(x)
    return y


def _gelu(x: Array, a: _Attributes) -> Array:
    if a.get("approximate", "none") == "tanh":
        y: Array = 0.5 * x * (1.0 + np.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3)))
    else:
        y = 0.5 * x * (1.0 + _erf(x / math.sqrt(2.0)))
    return y


FUNCTIONS: Final[Mapping[str, Callable[[Array, _Attributes], Array]]] = {  # as the ONNX specification defines them
    "Sigmoid": _sigmoid,
    "Tanh": lambda x, _: np.tanh(x),
    "HardSwish": lambda x, _: x * np.clip(x / 6.0 + 0.5, 0.0, 1.0),
    "HardSigmoid": _hard_sigmoid,
    "LeakyRelu": lambda x, a: np.where(x < 0, a.get("alpha", 0.01) * x, x),
    "Elu": _elu,
    "Exp": lambda x, _: np.exp(x),
    "Erf": lambda x, _: _erf(x),
    "Gelu": _gelu,
    "Mish": lambda x, _: x * np.tanh(np.logaddexp(0.0, x)),
    "Softplus": lambda x, _: np.logaddexp(0.0, x),
    "Softsign": lambda x, _: x / (1.0 + np.abs(x)),
    "Neg": lambda x, _: -x,
    "Abs": lambda x, _: np.abs(x),
    "Sqrt": lambda x, _: np.sqrt(np.maximum(x, 0.0)),
}
_ARITHMETIC: Final[Mapping[str, Callable[[Array, Array], Array]]] = {
    "Add": np.add,
    "Sub": np.subtract,
    "Mul": np.multiply,
    "Div": np.divide,
    "Pow": np.power,
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
    if node.op == "Elementwise":
        return lambda x: _chain(node, graph, x)
    return lambda x: FUNCTIONS[node.op](x, node.attributes)


def _chain(node: Node, graph: Graph, x: Array) -> Array:
    """What the nodes that passes/fuse_elementwise.py fused make of x."""
    values = {node.inputs[0]: x}
    for name in node.inputs[1:]:
        values[name] = np.asarray(graph.constant(name), dtype=np.float64).reshape(-1)
    for part in node.attributes["nodes"]:
        if part.op in _ARITHMETIC:
            left, right = (values[name] for name in part.inputs)
            with np.errstate(invalid="ignore", divide="ignore"):
                values[part.output] = _ARITHMETIC[part.op](left, right)
        else:
            values[part.output] = _function(part, graph)(values[part.inputs[0]])
    return np.nan_to_num(values[node.output])


RULE = OperatorRule((*FUNCTIONS, "Elementwise", "Relu", "Clip"), OutputRange.OWN, check, quantize)
