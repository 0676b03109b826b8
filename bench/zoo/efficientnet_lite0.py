# SPDX-License-Identifier: Apache-2.0
"""EfficientNet-lite0: EfficientNet-B0 (Tan and Le 2019, table 1) without squeeze-and-excite, ReLU6 for swish, 224x224."""

from __future__ import annotations

from typing import Final, NamedTuple

from bench.zoo.blocks import GraphBuilder, Value


class Stage(NamedTuple):
    """A row of the table: `repeats` inverted residuals, the first with the stride."""

    repeats: int
    kernel: int
    stride: int
    expansion: int
    channels: int


STAGES: Final = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)


def efficientnet_lite0(g: GraphBuilder, x: Value) -> Value:
    x = g.relu6(g.conv(x, 32, kernel=3, stride=2))
    for stage in STAGES:
        for index in range(stage.repeats):
            x = _inverted_residual(g, x, stage, stage.stride if index == 0 else 1)
    x = g.relu6(g.pointwise(x, 1280))
    return g.linear(g.features(x), 1000)


def _inverted_residual(g: GraphBuilder, x: Value, stage: Stage, stride: int) -> Value:
    y = x
    if stage.expansion != 1:
        y = g.relu6(g.pointwise(y, x.channels * stage.expansion))
    y = g.relu6(g.depthwise(y, kernel=stage.kernel, stride=stride))
    y = g.pointwise(y, stage.channels)
    return g.add(x, y) if stride == 1 and x.channels == stage.channels else y
