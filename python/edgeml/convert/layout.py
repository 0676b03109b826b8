# SPDX-License-Identifier: Apache-2.0
"""Moves the transposes of a quantized graph towards its outputs, where most of them meet their inverse and disappear.

The artifact keeps channels on axis 1; operators that work along another axis (products over tokens, norms and softmaxes along
the last axis) are emitted between two transposes. A transpose is not carried out where it stands but kept as a view: the tensor
that was transposed and the permutation. Operators that do not care about the order of pixels take the tensor behind the view.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from edgeml.convert.passes.eliminate_dead import eliminate_dead
from edgeml.ir import Graph, Node, Tensor, unused_name

Perm = tuple[int, ...]
_UNARY = ("lut", "rescale")
_JOINS = ("add", "mul")
_ALONG_CHANNELS = ("softmax", "layer_norm", "fully_connected")


class _View(NamedTuple):
    """What a tensor is: `source` with its axes permuted."""

    source: str
    perm: Perm


def sink_transposes(graph: Graph) -> Graph:
    """The same results with as few transposes as this order of views gives."""
    return _Sinker(graph).run()


def inverse(perm: Sequence[int]) -> Perm:
    """The permutation that undoes another one."""
    return tuple(int(axis) for axis in np.argsort(perm))


class _Sinker:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.tensors: dict[str, Tensor] = dict(graph.tensors)
        self.nodes: list[Node] = []
        self.views: dict[str, _View] = {}
        self.constants = {node.output: node for node in graph.nodes if node.op == "constant"}

    def run(self) -> Graph:
        for node in self.graph.nodes:
            if not self._moved(node):
                inputs = tuple(self._carried_out(name) for name in node.inputs)
                self.nodes.append(dataclasses.replace(node, inputs=inputs))
        used = {name for node in self.nodes for name in (*node.inputs, *node.outputs)} | set(self.graph.inputs)
        tensors = {name: tensor for name, tensor in self.tensors.items() if name in used}
        whole = dataclasses.replace(self.graph, nodes=tuple(self.nodes), tensors=tensors)
        return eliminate_dead(whole)

    def _view(self, name: str) -> _View:
        return self.views.get(name, _View(name, tuple(range(len(self.tensors[name].shape)))))

    def _is_plain(self, name: str) -> bool:
        view = self._view(name)
        return view.perm == tuple(range(len(view.perm)))

    def _moved(self, node: Node) -> bool:
        """Whether the node became a view, or took its inputs from behind theirs."""
        if node.output in self.graph.outputs:
            return False
        if node.op == "transpose":
            view = self._view(node.inputs[0])
            perm = tuple(view.perm[node.attributes[f"perm[{i}]"]] for i in range(len(view.perm)))
            self.views[node.output] = _View(view.source, perm)
            return True
        if node.op == "matmul":
            return self._matmul(node)
        return not self._is_plain(node.inputs[0]) and self._moved_behind(node, self._view(node.inputs[0]))

    def _moved_behind(self, node: Node, view: _View) -> bool:
        """Emit a node whose first input is a view in the order of the source, if it can be."""
        inputs: tuple[str, ...] = (view.source, *node.inputs[1:])
        attributes = dict(node.attributes)
        movable = node.op in _UNARY or (node.op in _ALONG_CHANNELS and view.perm[1] == 1)
        if node.op in _JOINS:
            other = self._permuted(node.inputs[1], view.perm)
            movable = other is not None
            inputs = (view.source, other or "", *node.inputs[2:])
        elif node.op == "concat":
            movable = all(self._view(name).perm == view.perm for name in node.inputs)
            inputs = tuple(self._view(name).source for name in node.inputs)
            attributes["axis"] = view.perm[node.attributes["axis"]]
        elif node.op in ("pad", "slice"):
            movable = True
            for word in ("begin", "end") if node.op == "pad" else ("start", "step"):
                for axis, source_axis in enumerate(view.perm):
                    attributes[f"{word}[{source_axis}]"] = node.attributes[f"{word}[{axis}]"]
        return movable and self._behind(node, view.perm, inputs, attributes)

    def _behind(self, node: Node, perm: Perm, inputs: tuple[str, ...], attributes: Mapping[str, Any]) -> bool:
        """Emit the node in the order of the source; its output is a view of that."""
        back = inverse(perm)
        old = self.tensors[node.output]
        name = unused_name(f"{node.output}/behind", self.tensors)
        self.tensors[name] = dataclasses.replace(old, name=name, shape=tuple(old.shape[axis] for axis in back))
        self.nodes.append(dataclasses.replace(node, inputs=inputs, outputs=(name,), attributes=dict(attributes)))
        self.views[node.output] = _View(name, perm)
        return True

    def _permuted(self, name: str, perm: Perm) -> str | None:
        """The tensor whose view by `perm` is this one; a constant activation is permuted here and now."""
        view = self._view(name)
        if view.perm == perm:
            return view.source
        constant = self.constants.get(name)
        if constant is None or not self._is_plain(name):
            return None
        back = inverse(perm)
        data = self.tensors[constant.inputs[0]].data
        assert data is not None  # noqa: S101 (what a constant node is)
        stored = unused_name(f"{name}/data", self.tensors)
        self.tensors[stored] = Tensor.constant(stored, np.ascontiguousarray(data.transpose(back)))
        old = self.tensors[name]
        moved = unused_name(f"{name}/behind", self.tensors)
        self.tensors[moved] = dataclasses.replace(old, name=moved, shape=tuple(old.shape[axis] for axis in back))
        self.nodes.append(Node("constant", f"{constant.name}/behind", (stored,), (moved,), {}))
        return moved

    def _matmul(self, node: Node) -> bool:
        """The second operand may stand either way: depth_axis says which axis is the depth."""
        b = self._view(node.inputs[1])
        if b.perm != (0, 2, 1):
            return False
        attributes = {**node.attributes, "depth_axis": 3 - node.attributes["depth_axis"]}
        inputs = (self._carried_out(node.inputs[0]), b.source, *node.inputs[2:])
        self.nodes.append(dataclasses.replace(node, inputs=inputs, attributes=attributes))
        return True

    def _carried_out(self, name: str) -> str:
        """The name of a tensor that is there: the source of a view that changes nothing, or a transpose made now."""
        if name not in self.views:
            return name
        if self._is_plain(name):
            return self.views[name].source
        view = self.views.pop(name)
        attributes = {f"perm[{axis}]": view.perm[axis] if axis < len(view.perm) else axis for axis in range(8)}
        self.nodes.append(Node("transpose", f"{name}/transpose", (view.source,), (name,), attributes))
        return name
