# SPDX-License-Identifier: Apache-2.0
"""Collects the quantized graph while the operator rules emit it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgeml.convert.layer_hessian import Moments
from edgeml.convert.options import ConvertOptions
from edgeml.convert.stored import Stored
from edgeml.errors import ConversionError
from edgeml.ir import Graph, Node, QuantParams, Tensor, unused_name

Array = npt.NDArray[Any]
MULTIPLIER_MIN: Final = 2.0**-32
MULTIPLIER_MAX: Final = 2.0**8  # exclusive


def _perm_attributes(perm: Sequence[int]) -> dict[str, int]:
    return {f"perm[{axis}]": perm[axis] if axis < len(perm) else axis for axis in range(8)}


def _covering(data: Array) -> QuantParams:
    """Scale and zero point for the range of these values."""
    low, high = min(float(data.min()), 0.0), max(float(data.max()), 0.0)
    scale = max(float(np.float32((high - low) / 255)), float(np.finfo(np.float32).tiny))
    return QuantParams(scale, int(np.clip(np.rint(-128 - low / scale), -128, 127)))


def sets_unread_output(node: Node, graph: Graph) -> bool:
    """Whether a node sets a graph output that no node reads."""
    return node.output in graph.outputs and not graph.consumers(node.output)


class Quantizer:
    """The float graph, the chosen quantization of its activations, and the quantized tensors and nodes so far.

    An int8 activation has the name of its float twin; at a float32 border of the graph it is `name/s8`.
    """

    def __init__(
        self,
        graph: Graph,
        quant: Mapping[str, QuantParams],
        channel_means: Mapping[str, Array],
        last_axis_means: Mapping[str, Array],
        options: ConvertOptions,
    ) -> None:
        self.graph = graph
        self.stored = Stored({}, {})
        self.keeps_source_rounding = False
        self.requantized_layers: list[str] = []  # of a quantized model: layers whose integers the artifact cannot hold
        self.options = options
        self.channel_means = channel_means
        self.last_axis_means = last_axis_means
        self._quant = quant
        self._plain: dict[str, str] = {}  # activation -> the plain tensor that a node in float made of it
        self._tensors: dict[str, Tensor] = {}
        self._nodes: list[Node] = []
        self._derived: dict[str, list[str]] = {}
        self.moments_of: Callable[[Node], Moments] | None = None
        self._begin()

    def keep_stored(self, stored: Stored) -> None:
        """The graph was quantized elsewhere: keep its integers, and round where it says so, also at its borders."""
        self.stored = stored
        self.keeps_source_rounding = True

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The quantized nodes that were emitted so far."""
        return tuple(self._nodes)

    @property
    def tensors(self) -> Mapping[str, Tensor]:
        """The tensors of the quantized graph so far."""
        return self._tensors

    def forms(self, name: str) -> tuple[str, ...]:
        """The tensors of the quantized graph, so far, that hold an activation: int8, in another layout, or float32."""
        forms = [self.s8(name), *self._derived.get(name, ())]
        if name in self._plain or name in self._tensors:
            forms.append(self._plain.get(name, name))
        return tuple(form for form in dict.fromkeys(forms) if form in self._tensors)

    def last_axis_mean(self, name: str) -> Array | None:
        """Mean of an activation over everything but its last axis; None where calibration has none."""
        return self.last_axis_means.get(name)

    def quant(self, name: str) -> QuantParams:
        """Scale and zero point of an activation."""
        return self._quant[name]

    def has_quant(self, name: str) -> bool:
        """Whether an activation is int8 in the artifact; all are but those that a quantized model gives no scale."""
        return name in self._quant

    def s8(self, name: str) -> str:
        """The name of the int8 tensor of an activation."""
        border = name in self.graph.inputs or name in self.graph.outputs
        return f"{name}/s8" if border and self.options.io == "float32" else name

    def activation(self, name: str, shape: Sequence[int], quant: QuantParams) -> str:
        """Add an int8 activation."""
        self._tensors[name] = Tensor(name, tuple(shape), np.dtype(np.int8), quant=quant)
        return name

    def constant(self, stem: str, data: Array) -> str:
        """Add a constant under an unused name."""
        name = unused_name(stem, self._tensors.keys() | self.graph.tensors.keys())
        self._tensors[name] = Tensor.constant(name, np.ascontiguousarray(data))
        return name

    def emit(self, op: str, node: Node, inputs: Sequence[str], attributes: Mapping[str, int] | None = None) -> None:
        """Add the node `op` that sets the int8 output of a float node."""
        output = self.s8(node.output)
        self.activation(output, self.graph.tensors[node.output].shape, self.quant(node.output))
        self._nodes.append(Node(op, node.name, tuple(inputs), (output,), dict(attributes or {})))

    def emit_internal(
        self, op: str, name: str, inputs: Sequence[str], output: str, attributes: Mapping[str, int] | None = None
    ) -> None:
        """Add a node whose output tensor was added before."""
        self._nodes.append(Node(op, name, tuple(inputs), (output,), dict(attributes or {})))

    def constant_activation(self, name: str, data: Array) -> tuple[str, QuantParams]:
        """An int8 activation that is the same for every sample, from real values [1, ...]; its range is that of the values."""
        quant = self.stored.activation_params(name) or _covering(data)
        scale = quant.scale
        q = np.clip(np.rint(data / scale) + quant.zero_point, -128, 127).astype(np.int8)
        stored = self.constant(f"{name}/values_s8", q)
        made = self.activation(f"{stored}/activation", (self.graph.batch, *data.shape[1:]), quant)
        self.emit_internal("constant", f"{stored}/constant", [stored], made)
        return made, quant

    def channels_first(self, name: str) -> str:
        """The int8 tensor of an activation with its last axis moved to axis 1, where the artifact has channels."""
        shape = self.graph.tensors[name].shape
        rank = len(shape)
        if rank == 2:
            return self.s8(name)
        moved = f"{self.s8(name)}/channels_first"
        if moved not in self._tensors:
            perm = (0, rank - 1, *range(1, rank - 1))
            self._derived.setdefault(name, []).append(moved)
            self.activation(moved, [shape[axis] for axis in perm], self.quant(name))
            self.emit_internal("transpose", moved, [self.s8(name)], moved, _perm_attributes(perm))
        return moved

    def emit_channels_first(
        self,
        op: str,
        node: Node,
        inputs: Sequence[str],
        attributes: Mapping[str, int],
        quant: QuantParams | None = None,
    ) -> None:
        """Add the node `op` whose output has the last axis of the float node's output as axis 1; a transpose moves it back."""
        shape = self.graph.tensors[node.output].shape
        rank = len(shape)
        if rank == 2:
            self.emit(op, node, inputs, attributes)
            return
        made = f"{node.output}/channels_first_output"
        first = (0, rank - 1, *range(1, rank - 1))
        self.activation(made, [shape[axis] for axis in first], quant or self.quant(node.output))
        self.emit_internal(op, node.name, inputs, made, attributes)
        back = (0, *range(2, rank), 1)
        self.emit("transpose", dataclasses.replace(node, name=f"{node.name}/back"), [made], _perm_attributes(back))

    def emit_float(
        self, op: str, node: Node, inputs: Sequence[str], attributes: Mapping[str, int] | None = None
    ) -> None:
        """Add the node `op` that sets the float32 graph output of a float node directly."""
        made = node.output if node.output in self.graph.outputs else f"{node.output}/plain"
        self._plain[node.output] = made
        self._tensors[made] = dataclasses.replace(self.graph.tensors[node.output], name=made)
        self._nodes.append(Node(op, node.name, tuple(inputs), (made,), dict(attributes or {})))

    def dequantized(self, name: str) -> str:
        """The float32 tensor of an activation inside the graph."""
        made = f"{self.s8(name)}/f32"
        if made not in self._tensors:
            self._derived.setdefault(name, []).append(made)
            self._tensors[made] = Tensor(made, self.graph.tensors[name].shape, np.dtype(np.float32))
            self.emit_internal("dequantize", f"{made}/dequantize", [self.s8(name)], made)
        return made

    def plain(self, name: str) -> str:
        """The plain tensor of an activation: made by a node in float, a float32 input, or dequantized now."""
        if name in self._plain:
            return self._plain[name]
        if name in self.graph.inputs and not self.has_quant(name):
            return name
        if name in self.graph.inputs and self.options.io == "float32" and not self.keeps_source_rounding:
            return name
        return self.dequantized(name)

    def emit_plain(self, node: Node, nodes: Sequence[Node], tensors: Sequence[Tensor]) -> None:
        """Add the plain nodes that a node in float stands for; they name inputs and outputs as the float graph does."""
        names = {name: self.plain(name) for name in node.inputs if name and self.graph.constant(name) is None}
        for name in filter(None, node.outputs):
            exposed = name in self.graph.outputs and self.options.io == "float32"
            names[name] = self._plain[name] = name if exposed else f"{name}/plain"
        for tensor in tensors:
            name = names.setdefault(tensor.name, unused_name(tensor.name, self._tensors.keys() | self.graph.tensors))
            self._tensors[name] = dataclasses.replace(tensor, name=name)
        for one in nodes:
            inputs, outputs = (tuple(names[name] for name in some) for some in (one.inputs, one.outputs))
            self._nodes.append(dataclasses.replace(one, inputs=inputs, outputs=outputs))

    def make_s8(self, name: str) -> None:
        """Quantize an activation that a node in float made, for readers that work on int8."""
        quantized = self.s8(name)
        if name in self._plain and self.has_quant(name) and quantized not in self._tensors:
            self.activation(quantized, self.graph.tensors[name].shape, self.quant(name))
            self.emit_internal("quantize", f"{name}/quantize", [self._plain[name]], quantized)

    def is_float_output(self, node: Node) -> bool:
        """Whether a node sets a float32 graph output that no other node reads, or an activation without a scale."""
        if not self.has_quant(node.output):
            return True
        return not self.keeps_source_rounding and self.options.io == "float32" and sets_unread_output(node, self.graph)

    def act_bounds(self, node: Node) -> dict[str, int]:
        """`act_min` and `act_max` of a node's fused activation in the quantized domain of its output."""
        quant = self.quant(node.output)
        low, high = node.clamp if node.clamp is not None else (-np.inf, np.inf)
        bounds = [np.rint(np.clip(v / quant.scale, -1e6, 1e6)) + quant.zero_point for v in (low, high)]
        act_min, act_max = (int(np.clip(v, -128, 127)) for v in bounds)
        return {"act_min": act_min, "act_max": act_max}

    def multiplier(self, node: Node, values: Sequence[float]) -> str:
        """A constant of multipliers; one below the format's bound is raised to it (it moves a result by < 2^-8).

        Raises:
            ConversionError: a multiplier is 2^8 or more: the output's range is tiny against the input's.
        """
        array = np.asarray(values, dtype=np.float32)
        magnitude = np.maximum(np.abs(array), np.float32(MULTIPLIER_MIN))
        if np.any(magnitude >= MULTIPLIER_MAX):
            raise ConversionError(
                f"node {node.name!r} ({node.op}) has an output range over 2^8 times smaller than its input's; "
                "give calibration data in which it is not nearly constant"
            )
        return self.constant(f"{node.name}/multiplier", np.copysign(magnitude, array))

    def finish(self) -> Graph:
        """Add the float32 outputs and return the quantized graph."""
        names = self.graph.outputs
        for name in names if self.options.io == "int8" else ():
            self.make_s8(name)
        if self.options.io == "float32":
            for name in names:
                if name not in self._tensors:
                    self._tensors[name] = self.graph.tensors[name]
                    self._nodes.append(Node("dequantize", f"{name}/dequantize", (self.s8(name),), (name,), {}))
        return Graph(self.graph.name, self._tensors, tuple(self._nodes), self.graph.inputs, names)

    def _begin(self) -> None:
        for name in self.graph.inputs:
            tensor = self.graph.tensors[name]
            if not self.has_quant(name):
                self._tensors[name] = tensor
                continue
            quantized = self.activation(self.s8(name), tensor.shape, self.quant(name))
            if self.options.io == "float32":
                self._tensors[name] = tensor
                self._nodes.append(Node("quantize", f"{name}/quantize", (name,), (quantized,), {}))
