# SPDX-License-Identifier: Apache-2.0
"""ResNet-18 and ResNet-50 (He et al. 2015), the stride in the 3x3 convolution of a bottleneck ("v1.5")."""

from __future__ import annotations

from collections.abc import Callable

from bench.zoo.blocks import GraphBuilder, Value

Block = Callable[[GraphBuilder, Value, int, int], Value]  # graph, input, width, stride


def resnet18(g: GraphBuilder, x: Value) -> Value:
    return _resnet(g, x, _basic, (2, 2, 2, 2))


def resnet50(g: GraphBuilder, x: Value) -> Value:
    return _resnet(g, x, _bottleneck, (3, 4, 6, 3))


def _resnet(g: GraphBuilder, x: Value, block: Block, depths: tuple[int, ...]) -> Value:
    x = g.relu(g.conv(x, 64, kernel=7, stride=2))
    x = g.max_pool(x, kernel=3, stride=2, pad=1)
    for stage, depth in enumerate(depths):
        for index in range(depth):
            x = block(g, x, 64 << stage, 2 if stage > 0 and index == 0 else 1)
    return g.linear(g.features(x), 1000)


def _basic(g: GraphBuilder, x: Value, width: int, stride: int) -> Value:
    y = g.relu(g.conv(x, width, kernel=3, stride=stride))
    y = g.conv(y, width, kernel=3)
    return g.relu(g.add(y, _shortcut(g, x, width, stride)))


def _bottleneck(g: GraphBuilder, x: Value, width: int, stride: int) -> Value:
    y = g.relu(g.pointwise(x, width))
    y = g.relu(g.conv(y, width, kernel=3, stride=stride))
    y = g.pointwise(y, 4 * width)
    return g.relu(g.add(y, _shortcut(g, x, 4 * width, stride)))


def _shortcut(g: GraphBuilder, x: Value, channels: int, stride: int) -> Value:
    return x if x.channels == channels and stride == 1 else g.conv(x, channels, kernel=1, stride=stride)
