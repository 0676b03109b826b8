# SPDX-License-Identifier: Apache-2.0
"""MobileNetV1 1.0: depthwise and pointwise layers in turn (Howard et al. 2017, table 1), ReLU6."""

from __future__ import annotations

from typing import Final

from bench.zoo.blocks import GraphBuilder, Value

# channels of the pointwise layer, stride of the depthwise layer before it
LAYERS: Final = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1))


def mobilenet_v1(g: GraphBuilder, x: Value) -> Value:
    x = g.relu6(g.conv(x, 32, kernel=3, stride=2))
    for channels, stride in LAYERS:
        x = g.relu6(g.depthwise(x, stride=stride))
        x = g.relu6(g.pointwise(x, channels))
    return g.linear(g.features(x), 1000)
