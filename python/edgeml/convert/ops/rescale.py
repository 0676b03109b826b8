# SPDX-License-Identifier: Apache-2.0
"""rescale: FakeQuantize of an int8 activation that has another scale; of a float activation it is the `quantize` itself."""

from __future__ import annotations

from typing import Final

from edgeml.convert.ops.rule import OperatorRule, OutputRange
from edgeml.convert.quantizer import Quantizer
from edgeml.ir import Graph, Node, QuantParams

FAKE_QUANTIZE: Final = "FakeQuantize"  # QuantizeLinear and DequantizeLinear with the same scale and zero point


def params_of(node: Node) -> QuantParams:
    """Scale and zero point of a FakeQuantize."""
    return QuantParams(node.attributes["scale"], node.attributes["zero_point"])


def check(_node: Node, _graph: Graph) -> None:
    """Only pairs that int8 holds become a FakeQuantize."""


def quantize(node: Node, quantizer: Quantizer) -> None:
    """Emit one rescale with m = S_x / S_y, or one quantize."""
    source = node.inputs[0]
    if not quantizer.has_quant(source):
        quantizer.emit("quantize", node, [quantizer.plain(source)])
        return
    ratio = quantizer.quant(source).scale / quantizer.quant(node.output).scale
    multiplier = quantizer.multiplier(node, [ratio])
    quantizer.emit("rescale", node, [quantizer.s8(source), multiplier], {"act_min": -128, "act_max": 127})


RULE = OperatorRule((FAKE_QUANTIZE,), OutputRange.OWN, check, quantize)
