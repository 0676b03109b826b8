# SPDX-License-Identifier: Apache-2.0
"""What holds for every graph of the converter, whatever stage it is in."""

from __future__ import annotations

from edgeml.errors import ConversionError
from edgeml.ir.graph import Graph, Tensor


def verify(graph: Graph) -> None:
    """Check that tensors exist, are set once and before they are read, and fit their declared shape.

    Raises:
        ConversionError: a rule is broken. It is always a fault of the converter, never of the user's model.
    """
    for name, tensor in graph.tensors.items():
        _check_tensor(name, tensor)
    known = {name for name, tensor in graph.tensors.items() if tensor.data is not None}
    for name in graph.inputs:
        _require(
            name in graph.tensors and name not in known, f"input {name!r} is no tensor, a constant, or there twice"
        )
        known.add(name)
    for node in graph.nodes:
        for name in node.inputs:
            _require(not name or name in known, f"node {node.name!r} reads {name!r} before it is set")
        _require(any(node.outputs), f"node {node.name!r} has no output")
        for name in filter(None, node.outputs):
            _require(name in graph.tensors, f"node {node.name!r} sets {name!r}, which is no tensor")
            _require(name not in known, f"node {node.name!r} sets {name!r}, which is set already")
            known.add(name)
        if node.clamp is not None:
            _require(node.clamp.low <= node.clamp.high, f"node {node.name!r} has bounds {node.clamp}")
    for name in graph.outputs:
        _require(name in known, f"output {name!r} is never set")


def _check_tensor(name: str, tensor: Tensor) -> None:
    _require(name and tensor.name == name, f"tensor {tensor.name!r} is kept under {name!r}")
    if tensor.data is not None:
        fits = tensor.data.shape == tensor.shape and tensor.data.dtype == tensor.dtype
        _require(fits, f"constant {name!r} is declared {tensor.dtype} {tensor.shape}")
        _require(tensor.quant is None, f"constant {name!r} has quantization parameters")
    if tensor.quant is not None:
        _require(tensor.dtype.name == "int8", f"tensor {name!r} is quantized but has dtype {tensor.dtype}")


def _require(condition: object, sentence: str) -> None:
    if not condition:
        raise ConversionError(f"internal check of the converter failed: {sentence}; please report the model")
