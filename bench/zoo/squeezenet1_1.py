# SPDX-License-Identifier: Apache-2.0
"""SqueezeNet 1.1: fire modules, two convolutions of a squeezed tensor side by side (Iandola et al. 2016)."""

from __future__ import annotations

from typing import Final

from bench.zoo.blocks import GraphBuilder, Value

# squeezed channels and channels of each expansion; a pool stands before each group
GROUPS: Final = (((16, 64), (16, 64)), ((32, 128), (32, 128)), ((48, 192), (48, 192), (64, 256), (64, 256)))


def squeezenet1_1(g: GraphBuilder, x: Value) -> Value:
    x = g.relu(g.conv(x, 64, kernel=3, stride=2, pad=0))
    for group in GROUPS:
        x = g.max_pool(x, kernel=3, stride=2)
        for squeezed, expanded in group:
            x = _fire(g, x, squeezed, expanded)
    return g.features(g.relu(g.pointwise(x, 1000)))


def _fire(g: GraphBuilder, x: Value, squeezed: int, expanded: int) -> Value:
    x = g.relu(g.pointwise(x, squeezed))
    return g.op("Concat", g.relu(g.pointwise(x, expanded)), g.relu(g.conv(x, expanded, kernel=3)), axis=1)
