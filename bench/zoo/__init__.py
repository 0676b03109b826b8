# SPDX-License-Identifier: Apache-2.0
"""Well-known image classifiers as ONNX graphs with random weights, for measuring speed: it does not depend on training.

`NETWORKS` names them; `build(name)` makes one. The structure is that of the published networks (and of what exporters
write: batch normalization is folded away), batch 1, opset 17, 1000 classes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import onnx

from bench.zoo.blocks import GraphBuilder, Value
from bench.zoo.efficientnet_lite0 import efficientnet_lite0
from bench.zoo.mobilenet_v1 import mobilenet_v1
from bench.zoo.mobilenet_v3_small import mobilenet_v3_small
from bench.zoo.resnet import resnet18, resnet50
from bench.zoo.squeezenet1_1 import squeezenet1_1

NETWORKS: Final[dict[str, Callable[[GraphBuilder, Value], Value]]] = {
    "mobilenet_v1_100_224": mobilenet_v1,
    "mobilenet_v3_small_224": mobilenet_v3_small,
    "resnet18_224": resnet18,
    "resnet50_224": resnet50,
    "squeezenet1_1_224": squeezenet1_1,
    "efficientnet_lite0_224": efficientnet_lite0,
}
SEED: Final = 2017


def build(name: str, *, zeros: float = 0.0, block_rows: int = 1) -> onnx.ModelProto:
    """The network of that name, input `input` float32 [1, 3, 224, 224], output `logits` float32 [1, 1000].

    zeros: share of zero blocks, block_rows x 4 weights each, in 1x1 and 3x3 layers; the first and depthwise ones have none.
    """
    g = GraphBuilder(seed=SEED, zeros=zeros, block_rows=block_rows)
    logits = NETWORKS[name](g, g.image("input", size=224))
    return g.model(name, logits, output="logits")
