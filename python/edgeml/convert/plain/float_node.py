# SPDX-License-Identifier: Apache-2.0
"""One float node of the converter's graph as plain operators, in a graph whose batch may be free.

In a graph of free batch plain operators see one sample at a time (artifact-format.md, section 5.2): the node is lowered for a batch
of 1, and every tensor that it makes gets the free batch as axis 0, in the place of a leading 1 or in front of the others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from onnx import NodeProto

from edgeml.artifact import model
from edgeml.artifact.format import TENSOR_RANK_MAX
from edgeml.artifact.operators import BY_NAME
from edgeml.convert.float_node import canonical_opset, normal_axis, unsupported
from edgeml.convert.plain.builder import NeedsValueError
from edgeml.convert.plain.lowering import Lowering, Scope
from edgeml.convert.plain.rules import RULES
from edgeml.ir import Graph, Node, Tensor

Array = npt.NDArray[Any]
# Whose results for one sample hang on the others, or on where the sample stands in the batch.
_ACROSS_SAMPLES: Final = (
    "GatherND",
    "ScatterND",
    "NonZero",
    "Compress",
    "Unique",
    "NonMaxSuppression",
    "Loop",
    "Scan",
    "If",
)
_RECURRENT: Final = ("RNN", "GRU", "LSTM")


class PlainNodes(NamedTuple):
    """Plain nodes and the tensors that they make, by name; the inputs and outputs have the names of the float graph."""

    nodes: tuple[Node, ...]
    tensors: tuple[Tensor, ...]  # in the order of execution; constants among them


def lower_node(node: Node, protos: Sequence[NodeProto], constants: Mapping[str, Array], graph: Graph) -> PlainNodes:
    """Lower a node of a float graph. `protos` are the ONNX nodes that it stands for, `constants` what they read beside the graph's.

    Raises:
        UnsupportedOperatorError: an operator without a plain form, or one that mixes the samples of a free batch.
    """
    free = graph.batch == 0
    if free:
        _check_samples_apart(node, protos, graph)
    lowering = Lowering(canonical_opset(graph), RULES)
    lowering.builder.scope = node.name
    scope: Scope = {name: lowering.builder.constant(data) for name, data in constants.items()}
    inputs = []
    for name in dict.fromkeys(filter(None, (name for proto in protos for name in proto.input))):
        tensor = graph.tensors.get(name)
        if name in scope or tensor is None:
            continue
        if tensor.data is not None:
            scope[name] = lowering.builder.constant(tensor.data)
            continue
        scope[name] = lowering.builder.input(name, _item_shape(tensor, free=free), tensor.dtype)
        inputs.append(scope[name])
    try:
        lowering.nodes(protos, scope)
    except NeedsValueError as error:
        raise unsupported(node, graph, f"has a shape that depends on data: {error}", "export static shapes") from error
    outputs = [name for name in node.outputs if name]
    plain = lowering.builder.finish(inputs, [(name, scope[name]) for name in outputs])
    return _lifted(node, plain, free=free)


def _item_shape(tensor: Tensor, *, free: bool) -> tuple[int, ...]:
    return (1, *tensor.shape[1:]) if free and tensor.shape[:1] == (0,) else tensor.shape


def _check_samples_apart(node: Node, protos: Sequence[NodeProto], graph: Graph) -> None:
    """Every activation begins with the free batch, and no operator works along it."""
    if node.op in _ACROSS_SAMPLES or node.op in _RECURRENT:
        raise unsupported(node, graph, "does not treat the samples of a free batch apart", "export a fixed batch")
    for name in filter(None, (*node.inputs, *node.outputs)):
        tensor = graph.tensors[name]
        if tensor.data is None and tensor.shape[:1] != (0,):
            raise unsupported(
                node, graph, f"has {name!r} of shape {tensor.shape} without the free batch", "export a fixed batch"
            )
    for proto in protos:
        axes = [v for a in proto.attribute if a.name in ("axis", "axes") for v in (a.ints or [a.i])]
        source = graph.tensors.get(proto.input[0]) if proto.input else None
        rank = len(source.shape) if source is not None else len(graph.tensors[node.output].shape)
        perm = [v for a in proto.attribute if a.name == "perm" for v in a.ints]
        listed = graph.constant(proto.input[1]) if proto.op_type.startswith("Reduce") and len(proto.input) > 1 else None
        axes += [] if listed is None else [int(axis) for axis in listed.reshape(-1)]
        if any(normal_axis(axis, rank) == 0 for axis in axes) or perm[:1] not in ([], [0]):
            raise unsupported(node, graph, "works along the free batch", "export a fixed batch")


def _lifted(node: Node, plain: model.Graph, *, free: bool) -> PlainNodes:
    """The nodes with names in the place of indices, and with the free batch in every tensor that they make."""
    borders = {*plain.inputs, *plain.outputs}
    names, shapes, shifted = [], [], []
    for index, tensor in enumerate(plain.tensors):
        names.append(tensor.name if index in borders else f"{node.name}/plain_{index}")
        lift = free and tensor.data is None
        shifted.append(lift and tensor.dims[:1] != (1,))
        shapes.append((0, *tensor.dims[0 if shifted[-1] else 1 :]) if lift else tensor.dims)
    made = tuple(
        Tensor(name, tuple(shape), np.dtype(tensor.dtype), tensor.data)
        for index, (name, shape, tensor) in enumerate(zip(names, shapes, plain.tensors, strict=True))
        if index not in plain.inputs
    )
    nodes = []
    for number, one in enumerate(plain.nodes):
        attributes = _shifted_attributes(one, shifted)
        words = BY_NAME[one.op].attributes or tuple(str(i) for i in range(len(attributes)))
        nodes.append(
            Node(
                one.op,
                f"{node.name}/{number}_{one.op}",
                tuple(names[i] for i in one.inputs),
                tuple(names[i] for i in one.outputs),
                dict(zip(words, attributes, strict=True)),
            )
        )
    return PlainNodes(tuple(nodes), made)


def _shifted_attributes(node: model.Node, shifted: Sequence[bool]) -> tuple[int, ...]:
    """Attributes that count axes, where the free batch was put in front of them."""
    values = list(node.attributes)
    boxes = 1 + TENSOR_RANK_MAX
    if node.op == "view_copy" and shifted[node.outputs[0]]:
        values[1:] = [0, *values[1:-1]]
    elif node.op == "assemble":
        for at, source in enumerate(node.inputs[1:]):
            if shifted[source]:
                begin = at * boxes
                values[begin + 1 : begin + boxes] = [0, *values[begin + 1 : begin + boxes - 1]]
    elif shifted[node.inputs[0]]:
        if node.op == "reduce":
            values[1] <<= 1
        elif node.op in ("arg_reduce", "cumulate", "top_k"):
            values[1] += 1
    return tuple(values)
