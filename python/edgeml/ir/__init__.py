# SPDX-License-Identifier: Apache-2.0
"""The converter's graph: float after import, quantized after `quantize`; frozen values, checked by `verify`."""

from edgeml.ir.graph import Clamp, Graph, Node, QuantParams, Tensor, unused_name
from edgeml.ir.verify import verify

__all__ = ["Clamp", "Graph", "Node", "QuantParams", "Tensor", "unused_name", "verify"]
