# SPDX-License-Identifier: Apache-2.0
"""How weights are stored: dense, or without their zeros where the cost model says that a device is faster for it."""

from __future__ import annotations

import dataclasses
import math
from typing import NamedTuple

import numpy as np

from edgeml import _core
from edgeml.artifact.block_sparse import BLOCK_COLUMNS, BLOCK_ROWS, encoded_bytes, present_blocks
from edgeml.artifact.model import Graph, Node, Tensor

WORTH_IT = 0.9  # of the dense time, as in cpp/src/ops/layer_cost.cpp
WORTH_SKIPPING = 0.45  # of the depth words of a panel, as in cpp/src/ops/skipping_gemm.h
PANEL_CHANNELS = 32  # of the widest panel of kernels.def
DENSE = 0  # block rows of weights that are stored with their zeros


class LayerShape(NamedTuple):
    """What the cost model asks of a layer with weights, of one sample (cpp/src/ops/layer_cost.h)."""

    channels: int
    depth_words: int
    pixels: int
    swept_pixels: int


def choose_storage(graph: Graph, isa: str) -> Graph:
    """Set `block_rows` of every layer's weights to what is predicted fastest on the ISA level; data stay as they are.

    Raises:
        IsaError: there is no such level.
    """
    tensors = list(graph.tensors)
    for node in graph.nodes:
        index = node.inputs[1] if len(node.inputs) > 1 else -1
        if node.op == "fully_connected" and math.prod(graph.tensors[node.inputs[0]].dims[2:]) == 1:
            tensors[index] = dataclasses.replace(tensors[index], block_rows=_block_rows_of_one_pixel(tensors[index]))
        shape = layer_shape(graph, node)
        if shape is None:
            continue
        tensors[index] = dataclasses.replace(tensors[index], block_rows=_block_rows(tensors[index], shape, isa))
    return dataclasses.replace(graph, tensors=tuple(tensors))


def layer_shape(graph: Graph, node: Node) -> LayerShape | None:
    """The shape of a layer that may be stored block-sparse; None for other nodes, and where the input is one pixel."""
    if node.op not in ("conv2d", "fully_connected"):
        return None
    x, w, y = graph.tensors[node.inputs[0]], graph.tensors[node.inputs[1]], graph.tensors[node.outputs[0]]
    if math.prod(x.dims[2:]) == 1:
        return None
    channels, taps, words = w.dims[0], math.prod(w.dims[1:-1]), -(-w.dims[-1] // BLOCK_COLUMNS)
    pixels = math.prod(y.dims[2:])
    if node.op == "fully_connected":
        return LayerShape(channels, words, pixels, pixels)
    a = node.named_attributes()
    if a["groups"] != 1:
        return None
    pitch = y.dims[3] + (w.dims[2] - 1) * a["dilation_w"] // a["stride_w"]
    return LayerShape(channels, taps * words, pixels, (y.dims[2] - 1) * pitch + y.dims[3])


def predicted_cycles(shape: LayerShape, isa: str, *, block_rows: int = DENSE, blocks: int = 0) -> float:
    """Cycles of a layer on one core of the ISA level, with so many blocks of block_rows x 4 weights, or dense."""
    return _core.layer_cycles(isa, **shape._asdict(), block_rows=block_rows, blocks=blocks)


def _block_rows_of_one_pixel(weights: Tensor) -> int:
    """A layer of one pixel skips the depth words that a panel of the dense kernel does not use (skipping_gemm.h)."""
    assert weights.data is not None  # noqa: S101 (weights are constants)
    rows = present_blocks(weights.data, 1)
    panels = np.pad(rows, ((0, -len(rows) % PANEL_CHANNELS), (0, 0))).reshape(-1, PANEL_CHANNELS, rows.shape[1])
    if float(np.any(panels, axis=1).mean()) >= WORTH_SKIPPING:
        return DENSE
    sizes = {block_rows: encoded_bytes(weights.data, block_rows) for block_rows in BLOCK_ROWS}
    return min(BLOCK_ROWS, key=lambda block_rows: sizes[block_rows])


def _block_rows(weights: Tensor, shape: LayerShape, isa: str) -> int:
    assert weights.data is not None  # noqa: S101 (weights are constants)
    best, limit = DENSE, WORTH_IT * predicted_cycles(shape, isa)
    for block_rows in reversed(BLOCK_ROWS):  # where two are as fast, the higher blocks take fewer bytes
        blocks = int(present_blocks(weights.data, block_rows).sum())
        cycles = predicted_cycles(shape, isa, block_rows=block_rows, blocks=blocks)
        if cycles < limit:
            best, limit = block_rows, cycles
    return best
