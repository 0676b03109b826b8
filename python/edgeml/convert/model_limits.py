# SPDX-License-Identifier: Apache-2.0
"""Limits on what a model may make of the converter's memory and time; a file is an adversary."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, Final

import onnx
from onnx import AttributeProto, FunctionProto, ModelProto, NodeProto

from edgeml.errors import ConversionError, ModelFormatError

INLINED_NODES_MAX: Final = 100_000  # of the model's own functions, after they are written out
FUNCTION_DEPTH_MAX: Final = 64
TENSOR_ELEMENTS_MAX: Final = 2**28  # of an activation of one sample, or of a constant that is worked out at conversion

_Key = tuple[str, str, str]


def check_functions(model: ModelProto) -> None:
    """Refuse functions that call themselves, or that are more than INLINED_NODES_MAX nodes when written out.

    Raises:
        ModelFormatError: such functions.
    """
    functions = {(f.domain, f.name, f.overload): f for f in model.functions}
    if not functions:
        return
    sizes: dict[_Key, int] = {}
    total = sum(
        _size((node.domain, node.op_type, node.overload), functions, sizes, 0) for node in _nodes(model.graph.node)
    )
    if total > INLINED_NODES_MAX:
        raise ModelFormatError(
            f"the functions of the model are {total} nodes when written out, at most {INLINED_NODES_MAX}; export it without functions"
        )


def _size(key: _Key, functions: Mapping[_Key, FunctionProto], sizes: dict[_Key, int], depth: int) -> int:
    if key not in functions:
        return 1
    if depth > FUNCTION_DEPTH_MAX:
        raise ModelFormatError(
            f"functions of the model call each other over {FUNCTION_DEPTH_MAX} deep; export it without functions"
        )
    if key not in sizes:
        inner = _nodes(functions[key].node)
        sizes[key] = sum(_size((n.domain, n.op_type, n.overload), functions, sizes, depth + 1) for n in inner)
    return sizes[key]


def _nodes(nodes: Any) -> Iterator[NodeProto]:
    """Nodes and those of their subgraphs; protobuf itself bounds the depth."""
    for node in nodes:
        yield node
        for attribute in node.attribute:
            if attribute.type == AttributeProto.GRAPH:
                yield from _nodes(attribute.g.node)


def propagates_data(graph: onnx.GraphProto) -> bool:
    """Whether shape inference may follow values of shapes: not with a Range, of which onnx writes out every element."""
    return all(node.op_type != "Range" for node in _nodes(graph.node))


def check_shapes(shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Refuse tensors that no edge device holds. Raises ConversionError."""
    for name, shape in shapes.items():
        if math.prod(max(dim, 1) for dim in shape) > TENSOR_ELEMENTS_MAX:
            raise ConversionError(
                f"tensor {name!r} of shape {shape} has more than {TENSOR_ELEMENTS_MAX} elements; export a smaller model"
            )


def output_shapes(graph: onnx.GraphProto, opset: int) -> dict[str, tuple[int, ...]]:
    """Shapes of the outputs of a graph that shape inference finds."""
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)])
    try:
        inferred = onnx.shape_inference.infer_shapes(model, data_prop=propagates_data(graph))
    except Exception:
        return {}
    known = {}
    for value in inferred.graph.output:
        dims = value.type.tensor_type.shape.dim
        if value.type.tensor_type.HasField("shape") and all(dim.HasField("dim_value") for dim in dims):
            known[value.name] = tuple(dim.dim_value for dim in dims)
    return known
