# SPDX-License-Identifier: Apache-2.0
"""Walks an ONNX graph and lowers every node to plain operators: by a rule of its own, or by the body that ONNX defines for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import onnx
from onnx import AttributeProto, FunctionProto, GraphProto, NodeProto, TensorProto, helper, numpy_helper

from edgeml.artifact.model import Graph
from edgeml.convert.constant_evaluation import RANDOM_OPERATORS, NotEvaluatedError, evaluate_constant
from edgeml.convert.plain.builder import Array, PlainBuilder, Value
from edgeml.errors import ConversionError, UnsupportedOperatorError

Scope = dict[str, Value]
Rule = Callable[["Call"], "Value | Sequence[Value | None]"]
NODES_MAX: Final = 60_000


@dataclass(frozen=True)
class Output:
    """A graph output: its name in ONNX, and its value where that is known at conversion."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    known: Array | None = None  # the artifact does not hold this output
    count: tuple[int, str] | None = None  # axis, and the name of the output that says how many positions of it are used


@dataclass(frozen=True)
class Lowered:
    """A graph of plain operators, and what stands for the outputs of the model."""

    graph: Graph | None  # None where no output depends on a run
    outputs: tuple[Output, ...]


class Call:
    """One ONNX node as its rule sees it."""

    def __init__(self, lowering: Lowering, node: NodeProto, inputs: Sequence[Value | None], scope: Scope) -> None:
        self.lowering = lowering
        self.node = node
        self.inputs = inputs
        self.scope = scope
        self.attributes = {a.name: a for a in node.attribute}

    @property
    def b(self) -> PlainBuilder:
        """The graph in the making."""
        return self.lowering.builder

    @property
    def opset(self) -> int:
        """The opset that the node is written in."""
        return self.lowering.opset

    @property
    def x(self) -> Value:
        """The first input."""
        return self.need(0)

    def need(self, at: int) -> Value:
        """An input that must be there."""
        value = self.optional(at)
        if value is None:
            raise self.unsupported(f"has no input {at}")
        return value

    def optional(self, at: int) -> Value | None:
        """An input that may be left out."""
        return self.inputs[at] if at < len(self.inputs) else None

    def has_output(self, at: int) -> bool:
        """Whether somebody wants this output."""
        return at < len(self.node.output) and bool(self.node.output[at])

    def attribute(self, name: str, default: Any = None) -> Any:
        """As Python values: str for strings, arrays for tensors, tuples for lists."""
        if name not in self.attributes:
            return default
        proto = self.attributes[name]
        value = helper.get_attribute_value(proto)
        if isinstance(value, bytes):
            return value.decode()
        if isinstance(value, TensorProto):
            return numpy_helper.to_array(value)
        if proto.type == AttributeProto.STRINGS:
            return [item.decode() for item in value]
        return tuple(value) if proto.type in (AttributeProto.INTS, AttributeProto.FLOATS) else value

    def integers(self, name: str, at: int) -> list[int] | None:
        """A list that older opsets have as an attribute and newer ones as an input."""
        value = self.optional(at)
        if value is not None:
            return [int(n) for n in value.known().reshape(-1)]
        listed = self.attribute(name)
        return None if listed is None else [int(n) for n in np.atleast_1d(listed)]

    def unsupported(self, what: str, way_out: str = "change it in the export") -> UnsupportedOperatorError:
        """The error for what cannot be lowered; the caller raises it."""
        where = f"operator {self.node.op_type} (opset {self.opset}, node {self.b.scope!r})"
        return UnsupportedOperatorError(f"{where} {what}; {way_out}")

    def expand(self) -> Sequence[Value | None]:
        """By the body that ONNX defines for the operator."""
        return self.lowering.by_function(self)

    def subgraph(self, name: str, inputs: Sequence[Value]) -> list[Value]:
        """The outputs of a graph attribute for these inputs; it sees the values around it."""
        graph: GraphProto = self.attribute(name)
        scope = dict(self.scope)
        scope.update({proto.name: value for proto, value in zip(graph.input, inputs, strict=False)})
        return self.lowering.graph(graph, scope)


class Lowering:
    """The state of one model's lowering."""

    def __init__(self, opset: int, rules: Mapping[str, Rule]) -> None:
        self.builder = PlainBuilder()
        self.opset = opset
        self.rules = rules

    def graph(self, graph: GraphProto, scope: Scope) -> list[Value]:
        """Lower all nodes; the outputs."""
        for proto in graph.initializer:
            scope[proto.name] = self.builder.constant(numpy_helper.to_array(proto))
        self.nodes(graph.node, scope)
        return [self._named(scope, output.name) for output in graph.output]

    def nodes(self, nodes: Sequence[NodeProto], scope: Scope, absent: frozenset[str] = frozenset()) -> None:
        """Lower nodes in order; their outputs enter the scope."""
        for at, node in enumerate(nodes):
            outside = self.builder.scope
            self.builder.scope = (node.name or f"{node.op_type}_{at}")[:200]
            inputs = [self._named(scope, name) if name and name not in absent else None for name in node.input]
            for name, value in zip(node.output, self._node(node, inputs, scope), strict=False):
                if name and value is not None:
                    scope[name] = value
            self.builder.scope = outside

    def _named(self, scope: Scope, name: str) -> Value:
        if name not in scope:
            raise ConversionError(f"{name!r} is read before it is set; export the model again")
        return scope[name]

    def _node(self, node: NodeProto, inputs: Sequence[Value | None], scope: Scope) -> Sequence[Value | None]:
        call = Call(self, node, inputs, scope)
        if node.domain not in ("", "ai.onnx"):
            raise call.unsupported(f"is of the domain {node.domain}", "export the model without custom operators")
        if node.op_type in RANDOM_OPERATORS:
            raise call.unsupported("draws random numbers, which no two machines would share", "make them an input")
        present = [value for value in inputs if value is not None]
        is_constant = bool(present) and not any(value.roots for value in present)
        if node.op_type in self.rules:
            made = self.rules[node.op_type](call)
            values = [made] if isinstance(made, Value) else list(made)
        else:
            values = list(call.expand())
        if is_constant and not any(a.type in (AttributeProto.GRAPH, AttributeProto.GRAPHS) for a in node.attribute):
            for name, value in zip(node.output, values, strict=False):
                if value is not None and value.data is None and value.evaluate is None:
                    value.evaluate = lambda name=name: self._evaluated(call)[name]
        return values

    def _evaluated(self, call: Call) -> dict[str, Array]:
        """A node of constants, where its value decides a shape."""
        feed = {n: v.known() for n, v in zip(call.node.input, call.inputs, strict=True) if n and v is not None}
        try:
            return evaluate_constant(call.node, feed, self.opset)
        except NotEvaluatedError as error:
            raise call.unsupported(f"cannot be evaluated at conversion ({error})", "fold it in the export") from error

    def by_function(self, call: Call) -> Sequence[Value | None]:
        """Lower the function body that the operator's schema gives."""
        node = call.node
        try:
            schema = onnx.defs.get_schema(node.op_type, self.opset, "")
        except onnx.defs.SchemaError:
            raise call.unsupported("is no operator of ONNX", "export the model without custom operators") from None
        function = self._body(schema, call)
        if function is None:
            raise call.unsupported("has no plain form yet", "replace it, or cut the model before it")
        scope: Scope = {
            name: value for name, value in zip(function.input, call.inputs, strict=False) if value is not None
        }
        attributes = {a.name: a for a in function.attribute_proto} | dict(call.attributes)
        for name, attribute in schema.attributes.items():
            if name not in attributes and attribute.default_value.name:
                attributes[name] = attribute.default_value
        body = [_with_attributes(inner, attributes) for inner in function.node]
        opset = self.opset
        self.opset = next((entry.version for entry in function.opset_import if entry.domain == ""), opset)
        self.nodes(body, scope, frozenset(set(function.input) - set(scope)))
        self.opset = opset
        return [scope.get(name) for name in function.output]

    def _body(self, schema: Any, call: Call) -> FunctionProto | None:
        if schema.has_function:
            plain: FunctionProto = schema.function_body
            return plain
        if not schema.has_context_dependent_function:
            return None
        types = [
            b""
            if v is None
            else helper.make_tensor_type_proto(helper.np_dtype_to_tensor_dtype(v.dtype), v.shape).SerializeToString()
            for v in call.inputs
        ]
        versions = [v for v in schema.context_dependent_function_opset_versions if v <= self.opset]
        if not versions:
            return None
        body = schema.get_context_dependent_function_with_opset_version(
            max(versions), call.node.SerializeToString(), types
        )
        parsed: FunctionProto = FunctionProto.FromString(body)
        return parsed


def _with_attributes(node: NodeProto, attributes: Mapping[str, AttributeProto]) -> NodeProto:
    """A node of a function body with the references to the function's attributes put in, in its subgraphs too."""
    copy = NodeProto()
    copy.CopyFrom(node)
    del copy.attribute[:]
    for attribute in node.attribute:
        if attribute.ref_attr_name:
            if attribute.ref_attr_name in attributes:
                filled = copy.attribute.add()
                filled.CopyFrom(attributes[attribute.ref_attr_name])
                filled.name = attribute.name
            continue
        added = copy.attribute.add()
        added.CopyFrom(attribute)
        if attribute.type == AttributeProto.GRAPH:
            inner = [_with_attributes(n, attributes) for n in attribute.g.node]
            del added.g.node[:]
            added.g.node.extend(inner)
    return copy


def lower(
    model: onnx.ModelProto, rules: Mapping[str, Rule], bound: Mapping[str, Array], dims: Mapping[str, int] | None = None
) -> Lowered:
    """Lower a model with fixed shapes. `bound` has values of inputs that are known at conversion, `dims` those of free dimensions.

    Raises:
        NeedsValueError: a shape depends on an input that is not bound.
        UnsupportedOperatorError: an operator that has no plain form, or a dtype that no operator takes.
    """
    opset = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 1)
    lowering = Lowering(opset, rules)
    initializers = {proto.name for proto in model.graph.initializer}
    scope: Scope = {}
    inputs = []
    for proto in model.graph.input:
        if proto.name in initializers:
            continue
        if proto.name in bound:
            scope[proto.name] = lowering.builder.constant(bound[proto.name])
            continue
        scope[proto.name] = lowering.builder.input(proto.name, _shape(proto, dims or {}), _dtype(proto))
        inputs.append(scope[proto.name])
    values = lowering.graph(model.graph, scope)
    results: list[tuple[str, Value]] = []
    outputs = []
    for proto, value in zip(model.graph.output, values, strict=True):
        known = np.empty(value.shape, value.dtype) if value.size == 0 else None
        count = None
        if known is None:
            results.append((proto.name, value))
            if value.count is not None:
                count = (value.count[0], f"{proto.name}/count")
                results.append((count[1], value.count[1]))
        outputs.append(Output(proto.name, value.shape, value.dtype, known, count))
    graph = lowering.builder.finish(inputs, results) if results else None
    return Lowered(graph, tuple(outputs))


def _dtype(proto: onnx.ValueInfoProto) -> np.dtype[Any]:
    kind = proto.type.WhichOneof("value")
    if kind != "tensor_type":
        raise UnsupportedOperatorError(f"input {proto.name!r} is a {kind}, not a tensor; export the model with tensors")
    return np.dtype(helper.tensor_dtype_to_np_dtype(proto.type.tensor_type.elem_type))


def _shape(proto: onnx.ValueInfoProto, dims: Mapping[str, int]) -> tuple[int, ...]:
    shape = []
    for axis, dim in enumerate(proto.type.tensor_type.shape.dim):
        size = dim.dim_value if dim.HasField("dim_value") else dims.get(dim.dim_param or f"{proto.name}:{axis}", 0)
        if size < 1:
            name = dim.dim_param or f"{proto.name}:{axis}"
            raise ConversionError(f"input {proto.name!r} has the free dimension {name}; give its size")
        shape.append(int(size))
    return tuple(shape)
