# SPDX-License-Identifier: Apache-2.0
"""The scales, zero points and integers that a quantized ONNX model carries, and where they end up in the artifact's graph.

`collect` turns each pair of QuantizeLinear and DequantizeLinear into one node `FakeQuantize` of the float graph and each quantized
constant into a float one, and keeps what was stored. `assign` gives, after the passes, every activation the scale of the
FakeQuantize behind its producer, and marks as float the nodes that have none.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgeml.convert.float_node import normal_axis
from edgeml.convert.ops import OutputRange, lowerable, refusal, rule_of
from edgeml.convert.ops.lut import FUNCTIONS
from edgeml.convert.ops.rescale import FAKE_QUANTIZE, params_of
from edgeml.convert.stored import Stored, StoredConstant, StoredLayer
from edgeml.errors import ModelFormatError
from edgeml.ir import Graph, Node, QuantParams, Tensor, with_inputs, with_outputs

Array = npt.NDArray[Any]
_LAYERS: Final = ("Conv", "Gemm", "MatMul")


def collect(graph: Graph) -> tuple[Graph, Stored]:
    """The float graph, and what was stored. Pairs that int8 cannot hold are left as they are, for the plain operators.

    Raises:
        ModelFormatError: a quantized constant stands for numbers that are not finite.
    """
    return _Collector(graph).run()


class _Collector:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.tensors = dict(graph.tensors)
        self.constants: dict[str, StoredConstant] = {}
        self.renamed: dict[str, str] = {}
        self.pairs: dict[str, str] = {}  # output of a QuantizeLinear -> that of the FakeQuantize in its place
        self.quantizers = {node.output: node for node in graph.nodes if node.op == "QuantizeLinear"}

    def run(self) -> tuple[Graph, Stored]:
        nodes: list[Node] = []
        names: set[str] = set()
        for node in self.graph.nodes:
            name = node.name
            while name in names:
                name += "_"
            names.add(name)
            inputs = tuple(self.renamed.get(one, one) for one in node.inputs)
            kept = self._kept(dataclasses.replace(node, name=name, inputs=inputs))
            if kept is not None:
                nodes.append(kept)
        layers = {node.name: layer for node in nodes if (layer := self._layer(node)) is not None}
        graph = self.graph.with_nodes(nodes, self.tensors.values())
        read = {name for node in nodes for name in node.inputs} | set(graph.outputs)
        nodes = [node for node in nodes if node.op != "QuantizeLinear" or node.output in read]
        return graph.with_nodes(nodes), Stored(layers, self.constants)

    def _data(self, node: Node, at: int) -> Array | None:
        tensor = self.tensors.get(node.inputs[at]) if at < len(node.inputs) else None
        return None if tensor is None else tensor.data

    def _kept(self, node: Node) -> Node | None:
        """The node that goes on in the place of one; None where nothing is left of it."""
        if node.op == "Mul" and all(self._data(node, at) is not None for at in (0, 1)):
            left, right = self._data(node, 0), self._data(node, 1)
            assert left is not None and right is not None  # noqa: S101, PT018
            self.tensors[node.output] = Tensor.constant(node.output, np.asarray(left * right))
            return None
        if node.op == "QuantizeLinear" and self._data(node, 0) is not None:
            return self._constant_quantized(node)
        if node.op != "DequantizeLinear":
            return node
        scale = self._data(node, 1)
        if scale is None or node.attributes.get("block_size", 0):
            return node
        values, zero = self._data(node, 0), self._data(node, 2)
        if values is not None and values.dtype in (np.int8, np.uint8, np.int32):
            zero = np.zeros((), values.dtype) if zero is None else zero
            stored = StoredConstant(values, scale, zero, int(node.attributes.get("axis", 1)))
            with np.errstate(over="ignore", invalid="ignore"):  # checked next
                real = stored.real()
            if not np.all(np.isfinite(real)):
                raise ModelFormatError(
                    f"node {node.name!r} (DequantizeLinear) makes a constant that is not finite; quantize the model again"
                )
            self.constants[node.output] = stored
            self.tensors[node.output] = Tensor.constant(node.output, real)
            return None
        return self._pair(node)

    def _constant_quantized(self, node: Node) -> Node | None:
        data, scale, zero = self._data(node, 0), self._data(node, 1), self._data(node, 2)
        if data is None or scale is None or zero is None or zero.dtype not in (np.int8, np.uint8):
            return node
        shape = [1] * data.ndim
        if scale.size > 1:
            shape[normal_axis(int(node.attributes.get("axis", 1)), data.ndim)] = scale.size
        limits = np.iinfo(zero.dtype)
        q = np.rint(data / scale.reshape(shape if scale.size > 1 else ())) + zero.astype(np.int64).reshape(
            shape if zero.size > 1 else ()
        )
        self.tensors[node.output] = Tensor.constant(node.output, np.clip(q, limits.min, limits.max).astype(zero.dtype))
        return None

    def _pair(self, node: Node) -> Node | None:
        source = self.quantizers.get(node.inputs[0])
        params = None if source is None else self._params(source)
        if source is None or params is None or params != self._params(node):
            return node
        made = self.pairs.get(source.output)
        if made is not None and node.output not in self.graph.outputs:
            self.renamed[node.output] = made
            return None
        self.pairs.setdefault(source.output, node.output)
        attributes = {"scale": params.scale, "zero_point": params.zero_point}
        inputs = (self.renamed.get(source.inputs[0], source.inputs[0]),)
        return Node(FAKE_QUANTIZE, node.name, inputs, node.outputs, attributes)

    def _params(self, node: Node) -> QuantParams | None:
        """Of an activation, per tensor and of 8 bits; a uint8 zero point is moved by 128."""
        scale, zero = self._data(node, 1), self._data(node, 2)
        if (
            scale is None
            or scale.size != 1
            or (zero is not None and (zero.size != 1 or zero.dtype not in (np.int8, np.uint8)))
        ):
            return None
        if node.attributes.get("output_dtype", 0) or scale.dtype != np.float32:
            return None
        value = 0 if zero is None else int(zero.reshape(()))
        signed = zero is not None and zero.dtype == np.int8
        try:
            return QuantParams(float(scale.reshape(())), value if signed else value - 128)
        except ValueError:
            return None

    def _layer(self, node: Node) -> StoredLayer | None:
        weights = self.constants.get(node.inputs[1]) if node.op in _LAYERS else None
        if weights is None or weights.values.ndim < 2:
            return None
        transposed = node.op == "Gemm" and node.attributes.get("transB", 0)
        axis = 0 if node.op == "Conv" or transposed else weights.values.ndim - 1
        if weights.scale.size > 1 and normal_axis(weights.axis, weights.values.ndim) != axis:
            return None
        bias = self.constants.get(node.inputs[2]) if len(node.inputs) > 2 else None
        return StoredLayer(weights.scale.astype(np.float64).reshape(-1), bias)


@dataclass
class Assigned:
    """A graph whose nodes are int8 where both sides have a scale; those of its activations by name."""

    graph: Graph
    quant: dict[str, QuantParams]


def assign(graph: Graph, *, float_outputs: bool) -> Assigned:
    """Scales of activations; nodes without are marked as float. `float_outputs`: graph outputs are float32.

    Raises:
        UnsupportedOperatorError: a node without a scale has no plain form.
    """
    return _Assigner(graph, float_outputs=float_outputs).run()


class _Assigner:
    def __init__(self, graph: Graph, *, float_outputs: bool) -> None:
        self.graph = graph
        self.float_outputs = float_outputs
        self.quant: dict[str, QuantParams] = {}
        self.renamed: dict[str, str] = {}
        self.nodes: list[Node] = []
        self.tensors: list[Tensor] = []
        self.merged: set[str] = set()  # names of FakeQuantize nodes that their producer took in

    def run(self) -> Assigned:
        for node in self.graph.nodes:
            if node.name in self.merged and node.op == FAKE_QUANTIZE:
                continue
            moved = with_inputs(node, self.renamed)
            if node.op == FAKE_QUANTIZE:
                self._fake_quantize(moved)
            else:
                self._operator(moved)
        return Assigned(self.graph.with_nodes(self.nodes, self.tensors), self.quant)

    def _fake_quantize(self, node: Node) -> None:
        source, params = node.inputs[0], params_of(node)
        inner = node.output not in self.graph.outputs
        if source in self.graph.inputs and self.graph.sole_consumer(source) is not None and inner:
            self.quant[source] = params
        if self.quant.get(source) == params and inner:
            self.renamed[node.output] = source
            return
        self.quant[node.output] = params
        self.nodes.append(node)

    def _operator(self, node: Node) -> None:
        why = refusal(node, self.graph)
        sources = [name for name in node.inputs if name and self.graph.constant(name) is None]
        missing = [name for name in sources if name not in self.quant]
        if why is None and missing:
            why = f"the source model gives {missing[0]!r} no scale"
        if why is None:
            why = self._int8(node, sources)
        if why is not None:
            self.nodes.append(lowerable(node, why, self.graph))

    def _int8(self, node: Node, sources: list[str]) -> str | None:
        """Add the node as an int8 one; or say why it cannot be one."""
        following = self.graph.sole_consumer(node.output)
        behind = following if following is not None and following.op == FAKE_QUANTIZE else None
        shares = rule_of(node).output_range is OutputRange.SAME_AS_INPUT and node.attributes.get("mode") != "linear"
        grids = {self.quant[name] for name in sources}
        if shares and len(grids) == 1:
            self.quant[node.output] = grids.pop()
            self.nodes.append(node)  # a FakeQuantize behind it becomes a rescale if it has another scale
            return None
        gives_float = (
            node.op in FUNCTIONS
            or node.op == "Elementwise"
            or (
                node.op == "Softmax"
                and (len(self.graph.tensors[node.output].shape) == 2 or node.attributes.get("axis", -1) == 1)
            )
        )
        if behind is None or node.op == "Softmax":
            if gives_float and (self.float_outputs or node.output not in self.graph.outputs):
                self.nodes.append(node)  # emitted with a float32 output
                return None
            if behind is None:
                return f"the source model gives its output {node.output!r} no scale"
        assert behind is not None  # noqa: S101 (both branches above)
        params = params_of(behind)
        inputs = node.inputs
        if shares:
            inputs = tuple(
                self._rescaled(name, params, behind.name) if name in sources else name for name in node.inputs
            )
        self.nodes.append(with_outputs(dataclasses.replace(node, inputs=inputs), behind.outputs))
        self.quant[behind.output] = params
        self.merged.add(behind.name)
        return None

    def _rescaled(self, name: str, params: QuantParams, stem: str) -> str:
        """An activation on another grid: the parts of a Concat come with scales of their own."""
        if self.quant[name] == params:
            return name
        made = f"{name}/on_grid_of/{stem}"
        if made not in self.quant:
            self.tensors.append(dataclasses.replace(self.graph.tensors[name], name=made))
            attributes = {"scale": params.scale, "zero_point": params.zero_point}
            self.nodes.append(Node(FAKE_QUANTIZE, made, (name,), (made,), attributes))
            self.quant[made] = params
        return made
