# SPDX-License-Identifier: Apache-2.0
"""The strength that is chosen is the one with the least error on samples that were not fitted."""

from __future__ import annotations

import numpy as np
import pytest

from convert.test_equalization import MIDDLES, data_for, network
from edgeml.convert.calibration import calibrate
from edgeml.convert.equalization import channel_peaks, equalize
from edgeml.convert.equalization_choice import before_shares, most_accurate, output_error
from edgeml.convert.options import ConvertOptions
from edgeml.convert.quantization import quantize
from edgeml.ir import Graph, Node


@pytest.mark.parametrize("io", ["float32", "int8"])
def test_channels_of_very_different_size_are_equalized(io: str) -> None:
    graph = network(*MIDDLES["depthwise"])
    data = data_for(graph)
    options = ConvertOptions(io=io)  # type: ignore[arg-type]
    chosen = most_accurate(graph, data, options)
    assert chosen.nodes != graph.nodes
    errors = [output_error(quantize(g, calibrate(g, data), data, options), graph, data) for g in (graph, chosen)]
    assert errors[1] < 0.8 * errors[0]


def test_one_strength_is_taken_unmeasured() -> None:
    graph = network(*MIDDLES["relu"])
    data = data_for(graph)
    assert most_accurate(graph, data, ConvertOptions(preset="fast")) is graph
    chosen = most_accurate(graph, data, ConvertOptions(equalization=0.25))
    expected = equalize(graph, channel_peaks(graph, data), 0.25)
    for name in expected.tensors:
        mine, other = chosen.constant(name), expected.constant(name)
        assert (mine is None and other is None) or np.array_equal(mine, other)


def test_errors_are_measured_before_shares() -> None:
    graph = network(*MIDDLES["relu"])
    shape = graph.tensors["y"]
    shares = Node("Softmax", "shares", ("y",), ("p",), {"axis": 1})
    whole = Graph(
        graph.name,
        {**graph.tensors, "p": type(shape)("p", shape.shape, shape.dtype)},
        (*graph.nodes, shares),
        graph.inputs,
        ("p",),
        graph.opset,
    )
    assert before_shares(whole).outputs == ("y",)
    assert before_shares(whole).nodes == graph.nodes
    assert before_shares(graph).outputs == graph.outputs


def test_a_tensor_on_many_paths_is_followed_once() -> None:
    graph = network(*MIDDLES["relu"])
    shape = graph.tensors["y"].shape
    tensors, nodes, last = dict(graph.tensors), list(graph.nodes), "y"
    for depth in range(1, 61):  # 2^60 paths
        made = f"twice_{depth}"
        tensors[made] = type(tensors["y"])(made, (*shape[:-1], shape[-1] * 2**depth), np.dtype(np.float32))
        nodes.append(Node("Concat", made, (last, last), (made,), {"axis": len(shape) - 1}))
        last = made
    whole = Graph(graph.name, tensors, tuple(nodes), graph.inputs, (last,), graph.opset)
    assert before_shares(whole).outputs == ("y",)
