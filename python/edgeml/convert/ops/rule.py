# SPDX-License-Identifier: Apache-2.0
"""What an operator file says about its operator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

from edgeml.convert.quantizer import Quantizer
from edgeml.ir import Graph, Node


class OutputRange(Enum):
    """Where scale and zero point of an operator's output come from."""

    OWN = auto()  # from the calibrated range of the output
    SAME_AS_INPUT = auto()  # inputs and output share one scale and zero point
    FIXED = auto()  # given by the operator


@dataclass(frozen=True)
class OperatorRule:
    """`onnx`: the ONNX operators, after the passes, that become this one.

    `check(node, graph)` raises UnsupportedOperatorError for what cannot be converted; `quantize(node, quantizer)` emits the
    quantized nodes of a node that passed.
    """

    onnx: tuple[str, ...]
    output_range: OutputRange
    check: Callable[[Node, Graph], None]
    quantize: Callable[[Node, Quantizer], None]
