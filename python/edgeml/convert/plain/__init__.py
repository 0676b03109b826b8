# SPDX-License-Identifier: Apache-2.0
"""ONNX -> plain operators: what has no int8 form, or is asked for in float32, computed on dense tensors of their own dtype."""

from edgeml.convert.plain.lowering import Lowered, lower

__all__ = ["Lowered", "lower"]
