# SPDX-License-Identifier: Apache-2.0
"""Weights times patches are what the layer computes, in places that are the same for every tensor of the shape."""

from __future__ import annotations

import numpy as np
import pytest

from edgeml.convert.float_model import FloatModel, to_onnx
from edgeml.convert.patches import layer_shape, patches
from edgeml.ir import Graph, Node, Tensor

FLOAT = np.dtype(np.float32)


def graph_of(
    op: str, x: tuple[int, ...], w: tuple[int, ...], y: tuple[int, ...], attributes: dict[str, object]
) -> Graph:
    rng = np.random.default_rng(0)
    tensors = {
        "x": Tensor("x", (0, *x), FLOAT),
        "w": Tensor.constant("w", rng.normal(size=w).astype(np.float32)),
        "b": Tensor.constant("b", np.zeros(w[0], np.float32)),
        "y": Tensor("y", (0, *y), FLOAT),
    }
    node = Node(op, "layer", ("x", "w", "b"), ("y",), attributes)
    return Graph("one", tensors, (node,), ("x",), ("y",), 13)


@pytest.mark.parametrize(
    ("op", "x", "w", "y", "attributes"),
    [
        ("Conv", (4, 9, 7), (6, 4, 3, 3), (6, 5, 7), {"pads": (1, 1, 1, 1), "strides": (2, 1)}),
        ("Conv", (4, 9, 7), (8, 2, 3, 2), (8, 5, 6), {"group": 2, "dilations": (2, 1)}),
        ("Conv", (4, 9, 7), (4, 1, 3, 3), (4, 9, 7), {"group": 4, "pads": (1, 1, 1, 1)}),
        ("Gemm", (12,), (5, 12), (5,), {"transB": 1}),
        ("Linear", (3, 12), (5, 12), (3, 5), {}),
    ],
)
def test_weights_times_patches_are_outputs(
    op: str, x: tuple[int, ...], w: tuple[int, ...], y: tuple[int, ...], attributes: dict[str, object]
) -> None:
    graph = graph_of(op, x, w, y, attributes)
    node = graph.nodes[0]
    layer = layer_shape(node, graph)
    values = np.random.default_rng(1).normal(size=(3, *x)).astype(np.float32)
    found = patches(values, layer, graph.tensors["y"].shape, 0.0)
    weights = np.asarray(graph.constant("w"))
    if op == "Conv":
        weights = weights.transpose(0, 2, 3, 1)
    made = found @ weights.reshape(layer.groups, layer.rows, layer.columns).transpose(0, 2, 1)
    (expected,) = FloatModel(to_onnx(graph, ["y"])).run({"x": values}).values()
    if op != "Linear":
        expected = np.moveaxis(expected, 1, -1)
    rows = expected.reshape(-1, layer.groups * layer.rows)
    flat = made.transpose(1, 0, 2).reshape(-1, layer.groups * layer.rows)
    assert len(flat) == len(rows)  # so few places that all are looked at
    assert np.allclose(flat[np.lexsort(flat.T)], rows[np.lexsort(rows.T)], atol=1e-4)


def test_places_are_bounded() -> None:
    graph = graph_of("Conv", (2, 200, 200), (2, 2, 1, 1), (2, 200, 200), {})
    layer = layer_shape(graph.nodes[0], graph)
    ramp = np.arange(4 * 2 * 200 * 200, dtype=np.float32).reshape(4, 2, 200, 200)
    found = patches(ramp, layer, (0, 2, 200, 200), 0.0)
    assert found.shape == (1, 2048, 2)
    assert np.array_equal(patches(ramp + 1, layer, (0, 2, 200, 200), 0.0), found + 1)
    assert len(np.unique(found)) == found.size  # no place twice
