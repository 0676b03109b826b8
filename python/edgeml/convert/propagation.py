# SPDX-License-Identifier: Apache-2.0
"""Float and int8 values of activations on some calibration samples, node after node as the quantized nodes are emitted.

A layer that is quantized now sees as its input what the int8 nodes before it really make of the samples, and what the float
nodes make of them. Only values that a later node reads are kept.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgeml.artifact import Artifact
from edgeml.artifact.model import Content
from edgeml.convert.calibration import CalibrationData
from edgeml.convert.encoding import encode
from edgeml.convert.float_model import FloatModel, to_onnx
from edgeml.convert.layer_hessian import Moments, moments_of
from edgeml.convert.patches import layer_shape, patches
from edgeml.convert.quantizer import Quantizer
from edgeml.ir import Graph, Node, QuantParams
from edgeml.session import InferenceSession

Array = npt.NDArray[Any]
LIVE_BYTES_MAX: Final = 384 * 2**20  # of all values that are kept at a time
SAMPLES_MIN: Final = 8
BATCH: Final = 8  # samples that a node runs at a time where the batch is free


class Propagation:
    """Values by the name of the activation in the float graph, and by the name of the tensor in the quantized one."""

    def __init__(self, quantizer: Quantizer, data: CalibrationData) -> None:
        self._quantizer, self._graph = quantizer, quantizer.graph
        self._last_reader = _last_readers(self._graph)
        self._float: dict[str, Array] = {}
        self._quantized: dict[str, Array] = {}
        every = _samples(self._graph, self._last_reader, data.samples)
        for name, array in data.arrays().items():
            self._float[name] = np.ascontiguousarray(array[every])
            if name in quantizer.tensors and quantizer.tensors[name].dtype == np.float32:
                self._quantized[name] = self._float[name]
            else:
                self._quantized[name] = _quantized(self._float[name], quantizer.quant(name))
        self._emitted = 0

    def moments(self, node: Node) -> Moments:
        """Of the inputs of a Conv, Gemm or Linear that is about to be quantized."""
        self._run_emitted()
        source, layer = node.inputs[0], layer_shape(node, self._graph)
        shape, quant = self._graph.tensors[node.output].shape, self._quantizer.quant(source)
        q = patches(self._quantized[self._quantizer.s8(source)], layer, shape, quant.zero_point)
        return moments_of(q, quant.zero_point)

    def follow(self, node: Node) -> None:
        """Run a float node and the quantized nodes that were emitted for it."""
        self._run_emitted()
        if any(name in self._last_reader for name in node.outputs):
            self._float |= _run_float(self._graph, node, self._float)
        for name in [name for name in self._float if self._last_reader.get(name) is node]:
            del self._float[name]
            for form in self._quantizer.forms(name):
                self._quantized.pop(form, None)

    def _run_emitted(self) -> None:
        """Run the quantized nodes that are new, and keep what later ones may read."""
        nodes, tensors = self._quantizer.nodes[self._emitted :], self._quantizer.tensors
        self._emitted = len(self._quantizer.nodes)
        made = {name for node in nodes for name in node.outputs}
        outputs = tuple(form for name in self._last_reader for form in self._quantizer.forms(name) if form in made)
        if not outputs:
            return
        read = dict.fromkeys(name for node in nodes for name in node.inputs if name not in made)
        inputs = tuple(name for name in read if tensors[name].data is None)
        used = dict.fromkeys(name for node in nodes for name in (*node.inputs, *node.outputs))
        short = {name: f"t{number}" for number, name in enumerate(used)}  # borders have at most NAME_BYTES_MAX bytes
        graph = Graph(
            "nodes",
            {short[name]: dataclasses.replace(tensors[name], name=short[name]) for name in used},
            tuple(_renamed(node, short) for node in nodes),
            tuple(short[name] for name in inputs),
            tuple(short[name] for name in outputs),
        )
        session = InferenceSession(Artifact.build(Content(encode(graph), {}, None)).to_bytes())
        feed = {short[name]: self._quantized[name] for name in inputs}
        step = self._graph.batch or BATCH
        parts = [
            session.run(None, {name: array[i : i + step] for name, array in feed.items()})
            for i in range(0, len(feed[short[inputs[0]]]), step)
        ]
        for name, arrays in zip(outputs, zip(*parts, strict=True), strict=True):
            self._quantized[name] = np.concatenate(arrays)


def _renamed(node: Node, names: Mapping[str, str]) -> Node:
    inputs, outputs = (tuple(names[name] for name in group) for group in (node.inputs, node.outputs))
    return dataclasses.replace(node, inputs=inputs, outputs=outputs)


def _run_float(graph: Graph, node: Node, values: Mapping[str, Array]) -> dict[str, Array]:
    inputs = tuple(dict.fromkeys(name for name in node.inputs if name and graph.constant(name) is None))
    outputs = tuple(name for name in node.outputs if name)
    model = FloatModel(to_onnx(dataclasses.replace(graph, nodes=(node,), inputs=inputs, outputs=outputs), outputs))
    step = graph.batch or BATCH
    samples = len(values[inputs[0]])
    parts = [model.run({name: values[name][i : i + step] for name in inputs}) for i in range(0, samples, step)]
    return {name: np.concatenate([part[name] for part in parts]) for name in outputs}


def _quantized(values: Array, quant: QuantParams) -> Array:
    q = np.rint(values / np.float32(quant.scale)) + quant.zero_point
    clipped: Array = np.clip(q, -128, 127).astype(np.int8)
    return clipped


def _last_readers(graph: Graph) -> dict[str, Node]:
    """The last node that reads an activation; none for those that nobody reads."""
    return {name: node for node in graph.nodes for name in node.inputs if name and graph.constant(name) is None}


def _samples(graph: Graph, last_reader: Mapping[str, Node], available: int) -> Array:
    """Indices of as many samples, spread evenly, as fit into LIVE_BYTES_MAX; whole batches of a fixed batch."""
    live = {name: math.prod(graph.tensors[name].shape[1:]) * 5 for name in graph.inputs}  # float32 and int8
    most = 1
    for node in graph.nodes:
        live |= {name: math.prod(graph.tensors[name].shape[1:]) * 5 for name in node.outputs if name in last_reader}
        most = max(most, sum(live.values()))
        live = {name: size for name, size in live.items() if last_reader.get(name) is not node}
    count = min(available, max(SAMPLES_MIN, LIVE_BYTES_MAX // most))
    if graph.batch:
        count = max(graph.batch, count - count % graph.batch)
    return np.arange(count) * available // count
