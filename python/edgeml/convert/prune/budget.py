# SPDX-License-Identifier: Apache-2.0
"""From what is asked of the whole network, a share of zeros or of the dense latency, to a choice for every layer."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from edgeml.convert.prune.allocation import Choices, allocate
from edgeml.convert.prune.candidates import LEAST_KEPT, Candidate
from edgeml.convert.prune.latency import dense_cycles
from edgeml.convert.prune.obs import kept_weights
from edgeml.errors import ConversionError
from edgeml.ir import Graph

Array = npt.NDArray[Any]
CURVE_SHARES: Final = tuple(i / 20 for i in range(19))  # sparsities of the report's curve


@dataclass(frozen=True, kw_only=True)
class Goal:
    """What to reach: `sparsity`, the share of zeros of all prunable weights; else `latency`, the share of the dense cycles on `isa`.

    block_rows: the heights of blocks that a layer may choose from.
    """

    sparsity: float | None
    latency: float | None
    block_rows: tuple[int, ...]
    isa: str


@dataclass(frozen=True, kw_only=True)
class CurvePoint:
    """The best allocation at one budget: share of zeros, predicted share of the dense cycles, sum of predicted losses."""

    sparsity: float
    latency: float
    loss: float


class LayerChoice(NamedTuple):
    """A candidate of a layer and the index of its choice."""

    candidate: Candidate
    number: int

    @property
    def removed(self) -> int:
        """Blocks that go."""
        return int(self.candidate.removals[self.number])

    def mask(self) -> Array:
        """Bool [rows, columns] of what is kept."""
        return kept_weights(self.candidate.trace, self.removed, self.candidate.block_rows)[: self.candidate.layer.rows]


class Allocation:
    """Chooses one candidate and one number of removals for every layer."""

    def __init__(self, graph: Graph, candidates: list[list[Candidate]], isa: str) -> None:
        self._candidates = candidates
        self._weights = sum(of_layer[0].layer.weights for of_layer in candidates)
        self._cycles = dense_cycles(graph, isa)
        self._fixed = self._cycles - sum(float(of_layer[0].cycles[0]) for of_layer in candidates)

    def reach(self, goal: Goal) -> list[LayerChoice]:
        """The least loss that reaches the goal. Raises ConversionError where nothing does."""
        budget, costs = (
            (
                goal.latency * self._cycles - self._fixed,
                [[one.cycles for one in of_layer] for of_layer in self._candidates],
            )
            if goal.latency is not None
            else (
                (1 - (goal.sparsity or 0)) * self._weights,
                [[one.kept for one in of_layer] for of_layer in self._candidates],
            )
        )
        choices = [
            Choices(np.concatenate([one.losses for one in of_layer]), np.concatenate(cost))
            for of_layer, cost in zip(self._candidates, costs, strict=True)
        ]
        found = allocate(choices, budget)
        if found is None:
            least = self._fixed + sum(float(choice.cost.min()) for choice in choices)
            raise ConversionError(
                f"sparsity {goal.sparsity:g} leaves less than {100 * LEAST_KEPT:.0f} % of the weights of a layer; ask for less"
                if goal.latency is None
                else f"a latency of {goal.latency:g} of the dense one cannot be reached on {goal.isa}; "
                f"ask for more than {least / self._cycles:.2f}"
            )
        return [self._at(of_layer, index) for of_layer, index in zip(self._candidates, found, strict=True)]

    @staticmethod
    def _at(of_layer: list[Candidate], index: int) -> LayerChoice:
        for one in of_layer:
            if index < len(one.removals):
                return LayerChoice(one, index)
            index -= len(one.removals)
        raise IndexError(index)

    def point(self, choices: list[LayerChoice]) -> CurvePoint:
        """What choices come to, by prediction."""
        kept, cycles, loss = (
            sum(float(values[choice.number]) for choice, values in zip(choices, of_choices, strict=True))
            for of_choices in zip(
                *((c.candidate.kept, c.candidate.cycles, c.candidate.losses) for c in choices), strict=True
            )
        )
        return CurvePoint(sparsity=1 - kept / self._weights, latency=(self._fixed + cycles) / self._cycles, loss=loss)

    def curve(self, goal: Goal) -> tuple[CurvePoint, ...]:
        """Points of the same kind of goal at other budgets, as far as they can be reached."""
        points = []
        for share in CURVE_SHARES:
            latency = None if goal.latency is None else 1 - share
            try:
                points.append(self.point(self.reach(dataclasses.replace(goal, sparsity=share, latency=latency))))
            except ConversionError:
                break
        return tuple(points)
