# SPDX-License-Identifier: Apache-2.0
"""Float `ir.Graph` -> ONNX model, and its execution by onnxruntime: for calibration, comparison and the tests of passes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import helper, numpy_helper

from edgeml.convert.float_node import canonical_opset
from edgeml.errors import ConversionError
from edgeml.ir import Graph, Node

Array = npt.NDArray[Any]
_IR_VERSION: Final = 8  # every onnxruntime that the package allows reads it


def to_onnx(graph: Graph, outputs: Sequence[str]) -> onnx.ModelProto:
    """The graph as an ONNX model with the named float32 tensors as outputs; fused activations become Clip nodes."""
    nodes: list[onnx.NodeProto] = []
    constants = {name: tensor.data for name, tensor in graph.tensors.items() if tensor.data is not None}
    for node in graph.nodes:
        protos, more = onnx_parts(node, graph)
        nodes += protos
        constants |= more
    used = {name for node in nodes for name in node.input}
    initializers = [numpy_helper.from_array(np.asarray(constants[name]), name) for name in constants if name in used]
    borders = [_value_info(graph, name) for name in graph.inputs]
    results_info = [_value_info(graph, name) for name in outputs]
    proto = helper.make_graph(nodes, graph.name or "graph", borders, results_info, initializers)
    model = helper.make_model(proto, opset_imports=[helper.make_opsetid("", canonical_opset(graph))])
    model.ir_version = max(_IR_VERSION, helper.find_min_ir_version_for(model.opset_import))
    return model


def onnx_parts(node: Node, graph: Graph) -> tuple[list[onnx.NodeProto], dict[str, Array]]:
    """The ONNX nodes that a node of the graph stands for, and the constants that they read beside the graph's."""
    protos: list[onnx.NodeProto] = []
    known = {name: data for name in node.inputs if (data := graph.constant(name)) is not None}
    constants: dict[str, Array] = {}
    for part in _expanded(node, known, constants):
        inputs = list(part.inputs)
        if part.op == "Reshape" and len(inputs) == 1:  # the form of passes/canonicalize_reshape.py
            inputs.append(f"{part.output}/shape")
            constants[inputs[-1]] = np.array([0, *graph.tensors[part.output].shape[1:]], dtype=np.int64)
        results = list(part.outputs)
        if part.clamp is not None:
            results[0] = f"{part.output}/unclamped"
        protos.append(node_proto(part, inputs, results))
        if part.clamp is not None:
            bounds = []
            for side, value in zip(("low", "high"), part.clamp, strict=True):
                bounds.append(f"{part.output}/{side}" if np.isfinite(value) else "")
                if bounds[-1]:
                    constants[bounds[-1]] = np.array(value, dtype=np.float32)
            protos.append(helper.make_node("Clip", [results[0], *bounds], [part.output], name=f"{part.name}/clamp"))
    return protos, constants


def _expanded(node: Node, known: dict[str, Array], constants: dict[str, Array]) -> tuple[Node, ...]:
    """The ONNX nodes that a node of the passes stands for."""
    if node.op in ("Elementwise", "Float"):
        parts: tuple[Node, ...] = node.attributes["nodes"]
        return tuple(inner for part in parts for inner in _expanded(part, known, constants))
    if node.op == "FakeQuantize":
        scale, zero, q = (f"{node.output}/{word}" for word in ("scale", "zero_point", "int8"))
        constants[scale] = np.array(node.attributes["scale"], np.float32)
        constants[zero] = np.array(node.attributes["zero_point"], np.int8)
        rounded = Node("QuantizeLinear", node.name, (node.inputs[0], scale, zero), (q,))
        return rounded, Node("DequantizeLinear", f"{node.name}/back", (q, scale, zero), node.outputs)
    if node.op == "Linear":
        weights, product = f"{node.output}/weights", f"{node.output}/product"
        constants[weights] = np.ascontiguousarray(known[node.inputs[1]].T)
        multiply = Node("MatMul", node.name, (node.inputs[0], weights), (product,))
        return multiply, Node("Add", f"{node.name}/bias", (product, node.inputs[2]), node.outputs, {}, node.clamp)
    if "alpha" in node.attributes and node.op == "MatMul":
        factor, product = f"{node.output}/alpha", f"{node.output}/product"
        constants[factor] = np.array(node.attributes["alpha"], np.float32)
        multiply = Node("MatMul", node.name, node.inputs, (product,))
        return multiply, Node("Mul", f"{node.name}/alpha", (product, factor), node.outputs)
    return (node,)


def node_proto(node: Node, inputs: Sequence[str], outputs: Sequence[str]) -> onnx.NodeProto:
    """A node as ONNX, with these names in the place of its own."""
    proto = helper.make_node(node.op, inputs, outputs, name=node.name)
    for name, value in node.attributes.items():
        plain = numpy_helper.from_array(value) if isinstance(value, np.ndarray) else value
        proto.attribute.append(helper.make_attribute(name, plain))
    return proto


def _value_info(graph: Graph, name: str) -> onnx.ValueInfoProto:
    shape = graph.tensors[name].shape
    dims = ["N" if axis == 0 and dim == 0 else dim for axis, dim in enumerate(shape)]
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(graph.tensors[name].dtype), dims)


class FloatModel:
    """A float model that can be run: an ir.Graph with any of its float32 tensors as outputs, or an ONNX file's bytes."""

    def __init__(self, model: onnx.ModelProto | bytes) -> None:
        """Load a model. Raises ConversionError where onnxruntime cannot run it."""
        data = model if isinstance(model, bytes) else model.SerializeToString()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # sums of float32 keep one order
        options.log_severity_level = 4
        try:
            self._session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise ConversionError(f"onnxruntime cannot run the float model: {str(error).splitlines()[0]}") from error
        self.inputs = {value.name: value.shape for value in self._session.get_inputs()}
        self.outputs = [value.name for value in self._session.get_outputs()]

    def run(self, feed: Mapping[str, Array]) -> dict[str, Array]:
        """Outputs by name."""
        try:
            values = self._session.run(None, dict(feed))
        except Exception as error:
            raise ConversionError(f"onnxruntime cannot run the float model: {str(error).splitlines()[0]}") from error
        return dict(zip(self.outputs, values, strict=True))
