# SPDX-License-Identifier: Apache-2.0
"""`prune`: takes blocks of weights out of a trained float graph and moves the others so that its outputs stay near.

Three steps: in every layer the order in which blocks go (block Optimal Brain Surgeon, obs.py); how many blocks each layer
gives up (allocation.py) by what that does to the outputs (sensitivity.py); then, layer after layer in execution order, the
remaining weights that come nearest to the dense network's activations with the inputs that the pruned network has.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgeml.convert.calibration import CalibrationData
from edgeml.convert.progress import progress
from edgeml.convert.prune.activations import Aim, gather_fit, input_moments
from edgeml.convert.prune.allocation import Choices, allocate
from edgeml.convert.prune.layers import Layer, open_clamps, prunable_layers, with_layers
from edgeml.convert.prune.moments import Moments
from edgeml.convert.prune.obs import Trace, kept_weights, layer_errors, refit, removal_trace, removed_weights
from edgeml.convert.prune.refit import refit_to_outputs
from edgeml.convert.prune.sensitivity import OutputLoss, loss_curve
from edgeml.errors import ConversionError
from edgeml.ir import Graph, Node

Array = npt.NDArray[Any]
SAMPLES_MAX: Final = 512  # of the calibration data; more moments of the same kind change little
MEASURED_SHARES: Final = (0.5, 0.8)  # of a layer's blocks removed, where the loss is measured
LEVELS: Final = 48  # choices of each layer between dense and nearly empty
LEAST_KEPT: Final = 0.02  # of a layer's blocks: an empty layer cuts the network
CURVE_SHARES: Final = tuple(i / 20 for i in range(19))  # sparsities of the report's curve


@dataclass(frozen=True, kw_only=True)
class LayerDensity:
    """Of one layer: its weights, those that are not zero, and what its pruning alone is predicted to do to the outputs."""

    name: str
    weights: int
    kept: int
    loss: float


@dataclass(frozen=True, kw_only=True)
class CurvePoint:
    """A sparsity, and the sum of predicted losses of the best allocation for it."""

    sparsity: float
    loss: float


@dataclass(frozen=True, kw_only=True)
class Pruned:
    """The pruned graph; its layers in execution order; predicted losses at other sparsities; the measured loss."""

    graph: Graph
    layers: tuple[LayerDensity, ...]
    curve: tuple[CurvePoint, ...]
    loss: float

    @property
    def sparsity(self) -> float:
        """Share of zeros in all layers that may be pruned."""
        return 1 - sum(layer.kept for layer in self.layers) / sum(layer.weights for layer in self.layers)


@dataclass(frozen=True)
class Candidate:
    """What is known of a layer before the allocation. errors and losses are by number of removals."""

    layer: Layer
    rows: Array
    bias: Array
    moments: Moments
    trace: Trace
    losses: Array
    removals: Array  # the choices: how many blocks may go

    def mask(self, removed: int, block_rows: int) -> Array:
        """Bool [rows, columns] of what is kept."""
        return kept_weights(self.trace, removed, block_rows)[: self.layer.rows]

    def kept(self, block_rows: int) -> Array:
        """Weights that are left at each choice."""
        gone = removed_weights(self.trace, self.layer.block_sizes(block_rows))
        return self.layer.weights - gone[self.removals]


def prune(graph: Graph, data: CalibrationData, sparsity: float, block_rows: int) -> Pruned:
    """Make at least the share `sparsity` in (0, 1) of all prunable weights zero, in blocks of block_rows x 4.

    Raises:
        ConversionError: no layer can be pruned, or not by so much.
    """
    layers = prunable_layers(graph)
    if not layers:
        raise ConversionError(
            "no layer of the model can be pruned: the first layer, depthwise and grouped convolutions stay as they are; "
            "convert it without sparsity"
        )
    feed = _evenly(data.arrays(), graph.batch)
    held_out, fitted = _split(feed, graph.batch)
    loss = OutputLoss(graph, held_out)
    candidates = _candidates(graph, layers, fitted, loss, block_rows)
    removed = _allocate_weights(candidates, sparsity, block_rows)
    pruned, masks = _refit_in_order(graph, candidates, removed, block_rows, feed)
    densities = tuple(
        LayerDensity(
            name=one.layer.name,
            weights=one.layer.weights,
            kept=int(np.count_nonzero(one.layer.weights_of(masks[one.layer.name].astype(np.float64)))),
            loss=float(one.losses[count]),
        )
        for one, count in zip(candidates, removed, strict=True)
    )
    return Pruned(graph=pruned, layers=densities, curve=_curve(candidates, block_rows), loss=loss(pruned))


def _evenly(feed: Mapping[str, Array], batch: int) -> dict[str, Array]:
    """At most SAMPLES_MAX samples, spread over all; whole batches where the batch is fixed."""
    samples = len(next(iter(feed.values())))
    if samples <= SAMPLES_MAX:
        return dict(feed)
    count = max(SAMPLES_MAX - SAMPLES_MAX % (batch or 1), batch)
    chosen = np.arange(count) * samples // count
    return {name: array[chosen] for name, array in feed.items()}


def _split(feed: Mapping[str, Array], batch: int) -> tuple[dict[str, Array], dict[str, Array]]:
    """Every third sample (or fixed batch) and the others: losses are measured where nothing was fitted, or they would be flattered."""
    samples = len(next(iter(feed.values())))
    third = np.arange(samples) // (batch or 1) % 3 == 2
    if not third.any() or third.all():
        return dict(feed), dict(feed)
    return {name: array[third] for name, array in feed.items()}, {name: array[~third] for name, array in feed.items()}


def _candidates(
    graph: Graph, layers: tuple[Layer, ...], feed: Mapping[str, Array], loss: OutputLoss, block_rows: int
) -> list[Candidate]:
    moments = input_moments(graph, layers, feed)
    found = []
    with progress("pruning: order of blocks", len(layers)) as advance:
        for layer in layers:
            rows, bias, gram = layer.rows_of(graph), layer.bias_of(graph), moments[layer.name].gram
            padding = -layer.rows % block_rows
            trace = removal_trace(np.pad(rows, ((0, padding), (0, 0))), gram, block_rows)
            errors = layer_errors(trace)
            at = [int(share * trace.order.size) for share in MEASURED_SHARES]
            measured = []
            for removed in at:
                mask = kept_weights(trace, removed, block_rows)[: layer.rows]
                new = refit(mask, gram, gram @ rows.T)
                new_bias = bias + (rows - new) @ moments[layer.name].mean
                measured.append(loss(with_layers(graph, {layer.name: (layer, new, new_bias)})))
            most = int(trace.order.size * (1 - LEAST_KEPT))
            removals = np.unique(np.arange(LEVELS + 1) * most // LEVELS)
            losses = loss_curve(errors, at, measured)
            found.append(Candidate(layer, rows, bias, moments[layer.name], trace, losses, removals))
            advance(1)
    return found


def _allocate_weights(candidates: list[Candidate], sparsity: float, block_rows: int) -> list[int]:
    total = sum(one.layer.weights for one in candidates)
    budget = (1 - sparsity) * total
    choices = [Choices(one.losses[one.removals], one.kept(block_rows).astype(np.float64)) for one in candidates]
    chosen = allocate(choices, budget)
    if chosen is None:
        raise ConversionError(
            f"sparsity {sparsity:g} leaves less than {100 * LEAST_KEPT:.0f} % of the weights of a layer; ask for less"
        )
    return [int(one.removals[i]) for one, i in zip(candidates, chosen, strict=True)]


def _curve(candidates: list[Candidate], block_rows: int) -> tuple[CurvePoint, ...]:
    points = []
    for share in CURVE_SHARES:
        removed = _allocate_weights(candidates, share, block_rows)
        losses = [float(one.losses[count]) for one, count in zip(candidates, removed, strict=True)]
        points.append(CurvePoint(sparsity=share, loss=sum(losses)))
    return tuple(points)


def _refit_in_order(
    graph: Graph, candidates: list[Candidate], removed: list[int], block_rows: int, feed: Mapping[str, Array]
) -> tuple[Graph, dict[str, Array]]:
    """The graph with the remaining weights of every pruned layer fitted to the dense activations; masks by node name."""
    opened, raw = open_clamps(graph, [one.layer for one in candidates])
    pruned, masks = graph, {}
    with progress("pruning: remaining weights", len(candidates)) as advance:
        for one, count in zip(candidates, removed, strict=True):
            mask = masks[one.layer.name] = one.mask(count, block_rows)
            if not mask.all():
                shortcut = _shortcut(graph, one.layer.node)
                fit = gather_fit(opened, pruned, Aim(one.layer, raw[one.layer.name], shortcut), feed)
                clamp = one.layer.node.clamp if shortcut is None else None
                rows, bias = refit_to_outputs(fit, mask, one.rows, clamp)
                pruned = with_layers(pruned, {one.layer.name: (one.layer, rows, bias)})
            advance(1)
    return pruned, masks


def _shortcut(graph: Graph, node: Node) -> str | None:
    """The activation that a layer's output is only added to, as at the end of a residual block."""
    add = graph.sole_consumer(node.output) if node.clamp is None else None
    if add is None or add.op != "Add":
        return None
    other = next((name for name in add.inputs if name != node.output), None)
    if other is None or graph.constant(other) is not None:
        return None
    same = graph.tensors[other].shape == graph.tensors[node.output].shape
    before = {name for earlier in graph.nodes[: graph.nodes.index(node)] for name in earlier.outputs}
    return other if same and (other in before or other in graph.inputs) else None
