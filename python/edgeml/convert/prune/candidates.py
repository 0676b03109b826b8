# SPDX-License-Identifier: Apache-2.0
"""What each layer could give up: the order in which its blocks go, and losses, weights and cycles at a number of steps of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgeml.convert.progress import progress
from edgeml.convert.prune.activations import input_moments
from edgeml.convert.prune.latency import cycles_by_blocks
from edgeml.convert.prune.layers import Layer, with_layers
from edgeml.convert.prune.moments import Moments
from edgeml.convert.prune.obs import Trace, kept_weights, layer_errors, refit, removal_trace, removed_weights
from edgeml.convert.prune.sensitivity import OutputLoss, loss_curve
from edgeml.ir import Graph

Array = npt.NDArray[Any]
MEASURED_SHARES: Final = (0.2, 0.5, 0.8)  # of a layer's blocks removed, where the loss is measured
LEVELS: Final = 48  # choices of each layer between dense and nearly empty
LEAST_KEPT: Final = 0.02  # of a layer's blocks: an empty layer cuts the network


@dataclass(frozen=True)
class Candidate:
    """One layer at one height of blocks. By choice: blocks that go, the loss, weights that stay, predicted cycles."""

    layer: Layer
    block_rows: int
    trace: Trace
    removals: Array
    losses: Array
    kept: Array
    cycles: Array


def layer_candidates(
    graph: Graph,
    layers: Sequence[Layer],
    feed: Mapping[str, Array],
    loss: OutputLoss,
    forms: tuple[tuple[int, ...], str],
) -> list[list[Candidate]]:
    """Of every layer one candidate for each height of blocks. forms: the heights and the ISA level whose cycles count."""
    heights, isa = forms
    moments = input_moments(graph, layers, feed)
    found = []
    with progress("pruning: order of blocks", len(layers) * len(heights)) as advance:
        for layer in layers:
            candidates = []
            for block_rows in heights:
                candidates.append(_candidate(graph, layer, moments[layer.name], loss, (block_rows, isa)))
                advance(1)
            found.append(candidates)
    return found


def _candidate(graph: Graph, layer: Layer, moments: Moments, loss: OutputLoss, form: tuple[int, str]) -> Candidate:
    block_rows, isa = form
    rows, bias, gram = layer.rows_of(graph), layer.bias_of(graph), moments.gram
    trace = removal_trace(np.pad(rows, ((0, -layer.rows % block_rows), (0, 0))), gram, block_rows)
    blocks = trace.order.size
    at = [int(share * blocks) for share in MEASURED_SHARES]
    measured = []
    for removed in at:
        new = refit(kept_weights(trace, removed, block_rows)[: layer.rows], gram, gram @ rows.T)
        new_bias = bias + (rows - new) @ moments.mean
        measured.append(loss(with_layers(graph, {layer.name: (layer, new, new_bias)})))
    removals = np.unique(np.arange(LEVELS + 1) * int(blocks * (1 - LEAST_KEPT)) // LEVELS)
    gone = removed_weights(trace, layer.block_sizes(block_rows))[removals]
    return Candidate(
        layer,
        block_rows,
        trace,
        removals,
        loss_curve(layer_errors(trace), at, measured)[removals],
        (layer.weights - gone).astype(np.float64),
        cycles_by_blocks(graph, layer, isa, block_rows, blocks - removals),
    )
