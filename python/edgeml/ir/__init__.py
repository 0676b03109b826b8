# SPDX-License-Identifier: Apache-2.0
"""The converter's graph: float after import, quantized after `quantize`; frozen values, checked by `verify`."""

from edgeml.ir.graph import Clamp, Graph, Node, QuantParams, Tensor, unused_name, with_inputs, with_outputs
from edgeml.ir.verify import verify

__all__ = ["Clamp", "Graph", "Node", "QuantParams", "Tensor", "unused_name", "verify", "with_inputs", "with_outputs"]
