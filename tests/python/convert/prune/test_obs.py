# SPDX-License-Identifier: Apache-2.0
"""Block Optimal Brain Surgeon against least squares by brute force on small layers."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from edgeml.convert.prune.obs import kept_weights, layer_errors, refit, removal_trace

ROWS, COLUMNS, SAMPLES = 4, 12, 200


def layer(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Correlated inputs [SAMPLES, COLUMNS], their gram matrix and weights [ROWS, COLUMNS]."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(SAMPLES, COLUMNS)) @ rng.normal(size=(COLUMNS, COLUMNS))
    return x, x.T @ x, rng.normal(size=(ROWS, COLUMNS))


def least_squares(x: np.ndarray, rows: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, float]:
    """The weights on the mask whose products with x are nearest, and the squared error, by numpy's solver row by row."""
    result = np.zeros_like(rows)
    for row, kept, out in zip(rows, mask, result, strict=True):
        out[kept] = np.linalg.lstsq(x[:, kept], x @ row, rcond=None)[0]
    return result, float(((x @ (rows - result).T) ** 2).sum())


@pytest.mark.parametrize("block_rows", [1, 2, 4])
def test_first_removal_is_the_cheapest_of_all(block_rows: int) -> None:
    x, gram, rows = layer(1)
    trace = removal_trace(rows, gram, block_rows)
    for group, (order, cost) in enumerate(zip(trace.order, trace.cost, strict=True)):
        errors = []
        for block in range(COLUMNS // 4):
            mask = np.ones((ROWS, COLUMNS), bool)
            mask[group * block_rows : (group + 1) * block_rows, 4 * block : 4 * block + 4] = False
            errors.append(least_squares(x, rows, mask)[1])
        assert order[0] == np.argmin(errors)
        assert cost[0] == pytest.approx(min(errors), rel=1e-8)


def test_costs_add_up_to_the_error_of_the_best_weights() -> None:
    x, gram, rows = layer(2)
    trace = removal_trace(rows, gram, 2)
    errors = layer_errors(trace)
    for removed in range(trace.order.size + 1):
        mask = kept_weights(trace, removed, 2)
        assert (~mask).sum() == removed * 8
        expected, error = least_squares(x, rows, mask)
        np.testing.assert_allclose(refit(mask, gram, gram @ rows.T), expected, rtol=1e-6, atol=1e-8)
        assert errors[removed] == pytest.approx(error, rel=1e-6, abs=1e-6)


def test_is_near_the_best_of_all_masks() -> None:
    x, gram, rows = layer(3)
    mask = kept_weights(removal_trace(rows, gram, 2), 3, 2)
    error = least_squares(x, rows, mask)[1]
    best = np.inf
    for gone in itertools.combinations(range(6), 3):
        blocks = np.ones(6, bool)
        blocks[list(gone)] = False
        candidate = np.repeat(np.repeat(blocks.reshape(2, 3), 4, axis=1), 2, axis=0)
        best = min(best, least_squares(x, rows, candidate)[1])
    assert error <= 1.5 * best


def test_blocks_of_zeros_go_first_and_cost_nothing() -> None:
    _, gram, rows = layer(4)
    rows[2:, 4:8] = 0
    trace = removal_trace(rows, gram, 2)
    assert trace.order[1, 0] == 1
    assert trace.cost[1, 0] == 0
    assert not kept_weights(trace, 1, 2)[2:, 4:8].any()
