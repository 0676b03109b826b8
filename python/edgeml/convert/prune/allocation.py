# SPDX-License-Identifier: Apache-2.0
"""How many blocks each layer gives up: the least loss of the whole network under one budget, by dynamic programming.

The network's loss is taken as the sum of what each layer's pruning alone does to the outputs (OBC, arXiv 2208.11580, section 5;
SPDY, arXiv 2201.13096).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
BUDGET_STEPS: Final = 4000  # the budget is divided into as many units; what rounding leaves is given back by the caller


class Choices(NamedTuple):
    """What can be done to one layer: loss and cost of every choice, [n] each."""

    loss: Array
    cost: Array


def allocate(layers: Sequence[Choices], budget: float) -> list[int] | None:
    """The index of each layer's choice with the least sum of losses and a sum of costs within budget; None if none fits."""
    if budget <= 0:
        return None
    unit = budget / BUDGET_STEPS
    best = np.zeros(BUDGET_STEPS + 1)  # least loss of the layers so far with a cost of at most i units
    taken = []
    for choices in layers:
        steps = np.ceil(choices.cost / unit - 1e-9).astype(np.int64)
        candidates = np.full((len(steps), BUDGET_STEPS + 1), np.inf)
        for row, (loss, step) in enumerate(zip(choices.loss, steps, strict=True)):
            if step <= BUDGET_STEPS:
                candidates[row, step:] = best[: BUDGET_STEPS + 1 - step] + loss
        choice = candidates.argmin(axis=0)
        best = np.take_along_axis(candidates, choice[None, :], 0)[0]
        taken.append((choice, steps))
    if not np.isfinite(best[-1]):
        return None
    left, result = BUDGET_STEPS, []
    for choice, steps in reversed(taken):
        result.append(int(choice[left]))
        left -= int(steps[result[-1]])
    return result[::-1]
