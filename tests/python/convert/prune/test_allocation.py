# SPDX-License-Identifier: Apache-2.0
"""The allocation against every combination of choices."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from edgeml.convert.prune.allocation import Choices, allocate


@pytest.mark.parametrize("seed", range(5))
def test_is_the_best_of_all_combinations(seed: int) -> None:
    rng = np.random.default_rng(seed)
    layers = [
        Choices(np.sort(rng.uniform(size=4)) ** 3, np.sort(rng.integers(1, 100, 4))[::-1].astype(float))
        for _ in range(4)
    ]
    budget = 200.0
    found = allocate(layers, budget)
    assert found is not None
    cost = sum(one.cost[i] for one, i in zip(layers, found, strict=True))
    loss = sum(one.loss[i] for one, i in zip(layers, found, strict=True))
    assert cost <= budget
    best = min(
        sum(one.loss[i] for one, i in zip(layers, combination, strict=True))
        for combination in itertools.product(range(4), repeat=4)
        if sum(one.cost[i] for one, i in zip(layers, combination, strict=True)) <= budget
    )
    assert loss == pytest.approx(best)


def test_a_budget_that_nothing_fits_is_told() -> None:
    assert allocate([Choices(np.zeros(2), np.array([10.0, 5.0]))], 4.0) is None
    assert allocate([Choices(np.zeros(1), np.ones(1))], 0.0) is None
