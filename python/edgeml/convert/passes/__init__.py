# SPDX-License-Identifier: Apache-2.0
"""Rewrites of the float graph, one rule per file; each is a pure `Graph -> Graph` that keeps what the graph computes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from edgeml.convert.passes.canonicalize_reshape import canonicalize_reshape
from edgeml.convert.passes.drop_identity import drop_identity
from edgeml.convert.passes.drop_repeated import drop_repeated
from edgeml.convert.passes.eliminate_dead import eliminate_dead
from edgeml.convert.passes.fold_affine import fold_affine
from edgeml.convert.passes.fold_batch_norm import fold_batch_norm
from edgeml.convert.passes.fold_constants import fold_constants
from edgeml.convert.passes.fold_pad import fold_pad
from edgeml.convert.passes.fuse_activation import fuse_activation
from edgeml.convert.passes.fuse_elementwise import fuse_elementwise
from edgeml.convert.passes.fuse_moves import fuse_moves
from edgeml.convert.passes.lower_affine import lower_affine
from edgeml.convert.passes.lower_conv1d import lower_conv1d
from edgeml.convert.passes.lower_gemm import lower_gemm
from edgeml.convert.passes.lower_global_pool import lower_global_pool
from edgeml.convert.passes.lower_linear import lower_linear
from edgeml.convert.passes.lower_softmax import lower_softmax
from edgeml.convert.passes.lower_split import lower_split
from edgeml.convert.passes.sink_concat import sink_concat
from edgeml.ir import Graph, verify

Pass = Callable[[Graph], Graph]

PASSES: Final[tuple[Pass, ...]] = (  # order matters; the reason stands beside each
    fold_constants,  # the others match on constants and shapes that this exposes
    drop_identity,  # nothing stands between neighbours any more
    fuse_moves,  # channel shuffles, whose reshapes may move the batch, before reshapes are judged one by one
    eliminate_dead,  # what fuse_moves left
    canonicalize_reshape,  # one form of Reshape, Flatten, Squeeze, Unsqueeze
    lower_global_pool,  # GlobalAveragePool and ReduceMean become AveragePool
    lower_conv1d,  # before anything that looks for 2-D convolutions
    lower_gemm,  # MatMul and Gemm in one form, with a bias to fold into
    lower_linear,  # products over tokens, with their bias and scale
    fuse_elementwise,  # after lower_linear took its Add and Mul, before fold_affine takes others
    lower_split,
    sink_concat,
    lower_softmax,
    fold_pad,  # before the folds: a Pad hides the convolution from them
    fold_batch_norm,  # before fusing: leaves conv -> relu adjacent
    fold_affine,  # Mul and Add of constants, likewise
    lower_affine,  # what could not be folded becomes a depthwise 1x1 convolution
    fuse_activation,  # Relu and Clip become the clamp of their producer
    eliminate_dead,  # last: drops the constants that the others left
)


# Of a model that was quantized elsewhere: nothing that changes a weight, and FakeQuantize stands between the layers.
QUANTIZED_PASSES: Final[tuple[Pass, ...]] = (
    fold_constants,
    drop_identity,
    drop_repeated,  # so that moves stand side by side again
    fuse_moves,
    eliminate_dead,
    canonicalize_reshape,
    lower_global_pool,
    lower_conv1d,
    lower_gemm,
    lower_linear,
    fuse_elementwise,
    lower_split,
    lower_softmax,
    fold_pad,
    fuse_activation,
    drop_repeated,  # around the reshapes that were put in
    eliminate_dead,
)


def run_passes(graph: Graph, passes: tuple[Pass, ...] = PASSES) -> Graph:
    """Apply every pass in order; the graph is verified after each."""
    for rule in passes:
        graph = rule(graph)
        verify(graph)
    return graph


__all__ = ["PASSES", "QUANTIZED_PASSES", "Pass", "run_passes"]
