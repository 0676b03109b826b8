# SPDX-License-Identifier: Apache-2.0
"""A small random artifact whose layers store their weights block-sparse, in every geometry that the format allows."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from edgeml.artifact.model import Content, Graph
from support.small_artifact import GraphBuilder

INPUT_SHAPE = (6, 13, 11)  # of one sample


class SparseBuilder(GraphBuilder):
    """A GraphBuilder whose layers' weights have zeros in blocks and are stored without them."""

    def sparse_weights(self, shape: Sequence[int], block_rows: int, density: float) -> list[int]:
        """Weights, bias and multipliers of a layer; `density` of the blocks hold something."""
        first, *others = self.weights(shape, shape[0])
        data = self.tensors[first].data
        assert data is not None
        rows, groups = -(-shape[0] // block_rows), -(-shape[-1] // 4)
        keep = self.rng.random((rows, *shape[1:-1], groups)) < density
        keep = np.repeat(np.repeat(keep, block_rows, axis=0)[: shape[0]], 4, axis=-1)[..., : shape[-1]]
        self.tensors[first] = dataclasses.replace(self.tensors[first], data=data * keep, block_rows=block_rows)
        return [first, *others]


def sparse_layers(seed: int = 11, batch: int = 0) -> Content:
    """Content of sparse convolutions and fully connected layers; input `t0` f32 [batch, 6, 13, 11], outputs s8.

    Of the three convolutions of each geometry the weights have blocks of 1, 2 and 4 rows; one layer has blocks only just
    below half, which runs dense, one has none at all.
    """
    b = SparseBuilder(seed, batch)
    real = b.activation(INPUT_SHAPE, 0, 0, np.float32)
    x = b.node("quantize", [real], b.activation(INPUT_SHAPE, 0.03, -5))

    def conv(source: int, out: tuple[int, int, int], kernel: int, geometry: list[int], r: int, density: float) -> int:
        channels = b.tensors[source].dims[1]
        weights = b.sparse_weights((out[0], kernel, kernel, channels), r, density)
        return b.node("conv2d", [source, *weights], b.activation(out, 0.05, 3), [*geometry, 1, -128, 110])

    plain, same = [1, 1, 1, 1, 0, 0, 0, 0], [1, 1, 1, 1, 1, 1, 1, 1]
    wide = conv(x, (38, 13, 11), 1, plain, 4, 0.2)
    for r in (1, 2, 4):
        wide = conv(wide, (38, 13, 11), 1, plain, r, 0.15)
        wide = conv(wide, (38, 13, 11), 3, same, r, 0.1)
    dilated = conv(wide, (22, 13, 11), 3, [1, 1, 2, 2, 2, 2, 2, 2], 2, 0.1)
    open_border = conv(dilated, (21, 11, 9), 3, plain, 1, 0.12)
    nothing = conv(open_border, (4, 11, 9), 3, same, 4, 0.0)
    half = conv(open_border, (17, 11, 9), 1, plain, 1, 0.9)
    strided = conv(half, (33, 6, 5), 3, [2, 2, 1, 1, 1, 1, 1, 1], 2, 0.15)
    skipped = conv(half, (33, 6, 5), 1, [2, 2, 1, 1, 0, 0, 0, 0], 4, 0.2)
    joined = b.node("add", [strided, skipped, b.multiplier(0.75, 0.5)], b.activation((33, 6, 5), 0.05, 3), [-128, 127])
    uneven = conv(joined, (30, 3, 2), 3, [2, 2, 1, 1, 0, 1, 1, 0], 1, 0.2)
    tokens = b.node("reshape", [joined], b.activation((33, 30), 0.05, 3))
    token_weights = b.sparse_weights((27, 33), 2, 0.2)
    mixed = b.node("fully_connected", [tokens, *token_weights], b.activation((27, 30), 0.06, 1), [-128, 127])
    flat = b.node("reshape", [uneven], b.activation((180,), 0.05, 3))
    dense = b.node(
        "fully_connected", [flat, *b.sparse_weights((35, 180), 4, 0.1)], b.activation((35,), 0.06, 1), [-90, 127]
    )
    graph = Graph(tuple(b.tensors), tuple(b.nodes), (real,), (nothing, mixed, dense))
    metadata = {"format": 1, "producer": "edgeml test", "name": "sparse_layers", "options": {}, "opset": 13}
    return Content(graph, metadata, None)
