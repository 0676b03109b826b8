# SPDX-License-Identifier: Apache-2.0
"""`prune`: takes blocks of weights out of a trained float graph and moves the others so that its outputs stay near.

Three steps: in every layer the order in which blocks go (block Optimal Brain Surgeon, obs.py); how many blocks each layer
gives up (allocation.py) by what that does to the outputs (sensitivity.py); then, layer after layer in execution order, the
remaining weights that come nearest to the dense network's activations with the inputs that the pruned network has.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeml.artifact.block_sparse import BLOCK_ROWS
from edgeml.convert.calibration import CalibrationData
from edgeml.convert.options import ConvertOptions
from edgeml.convert.progress import progress
from edgeml.convert.prune.activations import Aim, gather_fit, spread_samples
from edgeml.convert.prune.budget import Allocation, CurvePoint, Goal, LayerChoice
from edgeml.convert.prune.candidates import layer_candidates
from edgeml.convert.prune.layers import open_clamps, prunable_layers, with_layers
from edgeml.convert.prune.refit import refit_to_outputs
from edgeml.convert.prune.sensitivity import OutputLoss
from edgeml.errors import ConversionError
from edgeml.ir import Graph, Node

Array = npt.NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class LayerDensity:
    """Of one layer: its weights, those that are not zero, and what its pruning alone is predicted to do to the outputs."""

    name: str
    weights: int
    kept: int
    block_rows: int
    loss: float


@dataclass(frozen=True, kw_only=True)
class Pruned:
    """The pruned graph; its layers in execution order; what was chosen, with its measured loss, and other points beside it."""

    graph: Graph
    layers: tuple[LayerDensity, ...]
    chosen: CurvePoint
    curve: tuple[CurvePoint, ...]


def goal_of(options: ConvertOptions) -> Goal:
    """What the options ask for."""
    by_latency = options.latency_budget is not None
    heights = (options.block_rows,) if options.block_rows is not None else BLOCK_ROWS if by_latency else (2,)
    return Goal(sparsity=options.sparsity, latency=options.latency_budget, block_rows=heights, isa=options.target_isa)


def prune(graph: Graph, data: CalibrationData, goal: Goal) -> Pruned:
    """Take blocks of weights out of the layers of a graph until the goal is reached.

    Raises:
        ConversionError: no layer can be pruned, or not by so much.
    """
    layers = prunable_layers(graph)
    if not layers:
        raise ConversionError(
            "no layer of the model can be pruned: the first layer, depthwise and grouped convolutions stay as they are; "
            "convert it without sparsity or latency budget"
        )
    feed = spread_samples(data.arrays(), graph.batch)
    held_out, fitted = _split(feed, graph.batch)
    loss = OutputLoss(graph, held_out)
    allocation = Allocation(graph, layer_candidates(graph, layers, fitted, loss, (goal.block_rows, goal.isa)), goal.isa)
    choices = allocation.reach(goal)
    pruned, masks = _refit_in_order(graph, choices, feed)
    densities = tuple(
        LayerDensity(
            name=layer.name,
            weights=layer.weights,
            kept=int(np.count_nonzero(layer.weights_of(masks[layer.name].astype(np.float64)))),
            block_rows=choice.candidate.block_rows,
            loss=float(choice.candidate.losses[choice.number]),
        )
        for layer, choice in zip(layers, choices, strict=True)
    )
    chosen = dataclasses.replace(allocation.point(choices), loss=loss(pruned))
    return Pruned(graph=pruned, layers=densities, chosen=chosen, curve=allocation.curve(goal))


def _split(feed: Mapping[str, Array], batch: int) -> tuple[dict[str, Array], dict[str, Array]]:
    """Every third sample (or fixed batch) and the others: a loss where weights were fitted would be flattered."""
    samples = len(next(iter(feed.values())))
    third = np.arange(samples) // (batch or 1) % 3 == 2
    if not third.any() or third.all():
        return dict(feed), dict(feed)
    return {name: array[third] for name, array in feed.items()}, {name: array[~third] for name, array in feed.items()}


def _refit_in_order(
    graph: Graph, choices: list[LayerChoice], feed: Mapping[str, Array]
) -> tuple[Graph, dict[str, Array]]:
    """The graph with the remaining weights of every pruned layer fitted to the dense activations; masks by node name."""
    layers = [choice.candidate.layer for choice in choices]
    opened, raw = open_clamps(graph, layers)
    pruned, masks = graph, {}
    with progress("pruning: remaining weights", len(choices)) as advance:
        for layer, choice in zip(layers, choices, strict=True):
            mask = masks[layer.name] = choice.mask()
            if not mask.all():
                shortcut = _shortcut(graph, layer.node)
                fit = gather_fit(opened, pruned, Aim(layer, raw[layer.name], shortcut), feed)
                clamp = layer.node.clamp if shortcut is None else None
                rows, bias = refit_to_outputs(fit, mask, layer.rows_of(graph), clamp)
                pruned = with_layers(pruned, {layer.name: (layer, rows, bias)})
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
