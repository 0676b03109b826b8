# SPDX-License-Identifier: Apache-2.0
"""MobileNetV3-small 1.0: inverted residuals with squeeze-and-excite and hard swish (Howard et al. 2019, table 2)."""

from __future__ import annotations

from typing import Final, NamedTuple

from bench.zoo.blocks import GraphBuilder, Value


class Block(NamedTuple):
    """A row of the table; `squeezed` channels of the gate are a quarter of `expanded`, a multiple of 8; 0 for none."""

    kernel: int
    expanded: int
    channels: int
    squeezed: int
    hard_swish: bool
    stride: int


BLOCKS: Final = (
    Block(3, 16, 16, 8, False, 2),
    Block(3, 72, 24, 0, False, 2),
    Block(3, 88, 24, 0, False, 1),
    Block(5, 96, 40, 24, True, 2),
    Block(5, 240, 40, 64, True, 1),
    Block(5, 240, 40, 64, True, 1),
    Block(5, 120, 48, 32, True, 1),
    Block(5, 144, 48, 40, True, 1),
    Block(5, 288, 96, 72, True, 2),
    Block(5, 576, 96, 144, True, 1),
    Block(5, 576, 96, 144, True, 1),
)


def mobilenet_v3_small(g: GraphBuilder, x: Value) -> Value:
    x = g.hard_swish(g.conv(x, 16, kernel=3, stride=2))
    for block in BLOCKS:
        x = _inverted_residual(g, x, block)
    x = g.hard_swish(g.pointwise(x, 576))
    return g.linear(g.hard_swish(g.linear(g.features(x), 1024)), 1000)


def _inverted_residual(g: GraphBuilder, x: Value, block: Block) -> Value:
    activation = g.hard_swish if block.hard_swish else g.relu
    y = x
    if block.expanded != x.channels:
        y = activation(g.pointwise(y, block.expanded))
    y = activation(g.depthwise(y, kernel=block.kernel, stride=block.stride))
    if block.squeezed:
        y = g.squeeze_excite(y, block.squeezed)
    y = g.pointwise(y, block.channels)
    return g.add(x, y) if block.stride == 1 and x.channels == block.channels else y
