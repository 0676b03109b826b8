# SPDX-License-Identifier: Apache-2.0
"""Graph, Node, Tensor, QuantParams: names connect them, nothing is changed in place."""

from __future__ import annotations

import dataclasses
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt


class Clamp(NamedTuple):
    """Bounds of a fused activation, real numbers; infinite where there is none."""

    low: float
    high: float


@dataclass(frozen=True)
class QuantParams:
    """real = scale * (q - zero_point); scale a normal float32 > 0, zero_point in [-128, 127]."""

    scale: float
    zero_point: int

    def __post_init__(self) -> None:
        if float(np.float32(self.scale)) != self.scale or not self.scale >= np.finfo(np.float32).tiny:
            raise ValueError(f"scale {self.scale} is not a normal float32 above 0")
        if not -128 <= self.zero_point <= 127:
            raise ValueError(f"zero point {self.zero_point} is not in -128..127")


@dataclass(frozen=True)
class Tensor:
    """One tensor; a constant has `data`. Axis 0 of an activation is the batch, 0 = free."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    data: npt.NDArray[Any] | None = None
    quant: QuantParams | None = None

    @classmethod
    def constant(cls, name: str, data: npt.NDArray[Any]) -> Tensor:
        """A constant of the array's shape and dtype."""
        return cls(name, data.shape, data.dtype, data)


@dataclass(frozen=True)
class Node:
    """One operator. In a float graph `op` is an ONNX operator and `clamp` the activation fused into it."""

    op: str
    name: str
    inputs: tuple[str, ...]  # "" is an optional input that is left out
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    clamp: Clamp | None = None

    @property
    def output(self) -> str:
        """The first output."""
        return self.outputs[0]


def with_inputs(node: Node, renamed: Mapping[str, str]) -> Node:
    """The same node reading other tensors; a node that stands for others has them in its attribute `nodes`, which follow."""
    inputs = tuple(renamed.get(name, name) for name in node.inputs)
    attributes = dict(node.attributes)
    if "nodes" in attributes:
        attributes["nodes"] = tuple(with_inputs(part, renamed) for part in attributes["nodes"])
    return replace(node, inputs=inputs, attributes=attributes)


def with_outputs(node: Node, outputs: tuple[str, ...]) -> Node:
    """The same node setting other tensors; so does the last one of those that it stands for."""
    attributes = dict(node.attributes)
    if "nodes" in attributes:
        *others, last = attributes["nodes"]
        attributes["nodes"] = (*others, with_outputs(last, outputs))
    return replace(node, outputs=outputs, attributes=attributes)


def unused_name(stem: str, taken: Container[str]) -> str:
    """`stem`, or `stem_2`, `stem_3`, ... where the name is taken."""
    name, number = stem, 1
    while name in taken:
        number += 1
        name = f"{stem}_{number}"
    return name


@dataclass(frozen=True)
class Graph:
    """Nodes in execution order, tensors by name, names of inputs and outputs. `opset` is that of the source."""

    name: str
    tensors: Mapping[str, Tensor]
    nodes: tuple[Node, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    opset: int = 0

    @property
    def batch(self) -> int:
        """The batch of every activation, 0 = free."""
        return self.tensors[self.inputs[0]].shape[0]

    def constant(self, name: str) -> npt.NDArray[Any] | None:
        """The data of a constant; None for anything else."""
        tensor = self.tensors.get(name)
        return None if tensor is None else tensor.data

    def producer(self, name: str) -> Node | None:
        """The node that sets a tensor; None for constants and graph inputs."""
        return next((node for node in self.nodes if name in node.outputs), None)

    def consumers(self, name: str) -> tuple[Node, ...]:
        """The nodes that read a tensor."""
        return tuple(node for node in self.nodes if name in node.inputs)

    def sole_consumer(self, name: str) -> Node | None:
        """The only reader of a tensor that is not a graph output; None if there is not exactly one."""
        consumers = self.consumers(name)
        return consumers[0] if len(consumers) == 1 and name not in self.outputs else None

    def unused_name(self, stem: str) -> str:
        """`stem`, or `stem_2`, `stem_3`, ... where a tensor has that name already."""
        return unused_name(stem, self.tensors)

    def with_nodes(self, nodes: Iterable[Node], tensors: Iterable[Tensor] = ()) -> Graph:
        """The same graph with other nodes, and with these tensors added or put in the place of those of their names."""
        merged = {**self.tensors, **{tensor.name: tensor for tensor in tensors}}
        return dataclasses.replace(self, nodes=tuple(nodes), tensors=merged)

    def replaced(self, old: Iterable[Node], new: Iterable[Node], tensors: Iterable[Tensor] = ()) -> Graph:
        """The same graph with `new` in the place of the last of `old`, the others of `old` removed."""
        gone = list(old)
        nodes: list[Node] = []
        for node in self.nodes:
            if node is gone[-1]:
                nodes.extend(new)
            elif not any(node is other for other in gone):
                nodes.append(node)
        return self.with_nodes(nodes, tensors)
