# SPDX-License-Identifier: Apache-2.0
"""Predicted cycles of a float graph's layers at any number of blocks, by the cost model of the core."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from edgeml.artifact.block_sparse import BLOCK_COLUMNS
from edgeml.convert.float_node import window_of
from edgeml.convert.prune.layers import Layer, layers_of
from edgeml.convert.weight_storage import WORTH_IT, LayerShape, predicted_cycles
from edgeml.ir import Graph

Array = npt.NDArray[Any]


def cycles_by_blocks(graph: Graph, layer: Layer, isa: str, block_rows: int, blocks: Array) -> Array:
    """Cycles of a layer with so many blocks [n]; dense, as the converter stores it, where that is not clearly slower.

    A layer of one pixel counts as dense: it saves only the depth words that whole panels of channels lack (skipping_gemm.h), of
    which a number of blocks says nothing.
    """
    shape = _shape(graph, layer)
    dense = predicted_cycles(shape, isa)
    if layer.positions == 1:
        return np.full(len(blocks), dense)
    sparse = np.array([predicted_cycles(shape, isa, block_rows=block_rows, blocks=int(count)) for count in blocks])
    return np.where(sparse < WORTH_IT * dense, sparse, dense)


def dense_cycles(graph: Graph, isa: str) -> float:
    """Cycles of all layers with weights but depthwise and grouped ones, which the cost model does not know."""
    return sum(predicted_cycles(_shape(graph, layer), isa) for layer in layers_of(graph))


def _shape(graph: Graph, layer: Layer) -> LayerShape:
    words, pixels = layer.columns // BLOCK_COLUMNS, layer.positions
    if layer.window is None:
        return LayerShape(layer.rows, words, pixels, pixels)
    height, width = graph.tensors[layer.node.output].shape[2:]
    window = window_of(layer.node, graph)
    pitch = width + (window.kernel[1] - 1) * window.dilations[1] // window.strides[1]
    return LayerShape(layer.rows, words, pixels, (height - 1) * pitch + width)
