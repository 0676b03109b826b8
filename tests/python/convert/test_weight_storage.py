# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from edgeml import _core
from edgeml.artifact.model import Graph
from edgeml.convert.weight_storage import choose_storage, layer_shape, predicted_cycles
from edgeml.errors import IsaError
from support.sparse_artifact import SparseBuilder, sparse_layers


def layer(block_rows: int, density: float, pixels: int = 196) -> Graph:
    """A fully connected layer of 64 channels over a depth of 256."""
    b = SparseBuilder()
    dims = (256, pixels) if pixels > 1 else (256,)
    x = b.activation(dims)
    y = b.activation((64, *dims[1:]))
    b.node("fully_connected", [x, *b.sparse_weights((64, 256), block_rows, density)], y, [-128, 127])
    tensors = tuple(dataclasses.replace(tensor, block_rows=0) for tensor in b.tensors)
    return Graph(tensors, tuple(b.nodes), (x,), (y,))


def stored(graph: Graph, isa: str = "avx512vnni") -> int:
    chosen = choose_storage(graph, isa)
    index = graph.nodes[0].inputs[1]
    assert np.array_equal(chosen.tensors[index].data, graph.tensors[index].data)
    return chosen.tensors[index].block_rows


@pytest.mark.parametrize("isa", _core.ISA_LEVELS)
def test_blocks_are_recognised_and_dense_stays_dense(isa: str) -> None:
    assert stored(layer(4, 1.0), isa) == 0
    assert stored(layer(4, 0.1), isa) == 4
    assert stored(layer(1, 0.05), isa) in (1, 2)


def test_a_layer_of_one_pixel_needs_words_that_a_whole_panel_leaves_out() -> None:
    assert stored(layer(4, 0.5, pixels=1)) == 0
    assert stored(layer(4, 0.01, pixels=1)) == 4


def test_predictions_fall_with_blocks_and_know_every_level() -> None:
    graph = layer(4, 1.0)
    shape = layer_shape(graph, graph.nodes[0])
    assert shape is not None
    for isa in _core.ISA_LEVELS:
        cycles = [predicted_cycles(shape, isa, block_rows=4, blocks=blocks) for blocks in (0, 100, 1024)]
        assert 0 <= cycles[0] < cycles[1] < cycles[2]
        assert predicted_cycles(shape, isa) > 0
    with pytest.raises(IsaError, match="z80"):
        predicted_cycles(shape, "z80")


def test_shapes_are_those_of_the_loader() -> None:
    """Convolutions sweep rows at the pitch of their padded phases."""
    graph = sparse_layers().graph
    shapes = {node.name: layer_shape(graph, node) for node in graph.nodes}
    same, strided = (next(s for s in shapes.values() if s and s.pixels == n) for n in (143, 30))
    assert same.swept_pixels >= same.pixels
    assert strided.swept_pixels > strided.pixels
