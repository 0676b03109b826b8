# SPDX-License-Identifier: Apache-2.0
"""Rounding by the Hessian: beats rounding to the nearest where columns correlate, equals it where they do not."""

from __future__ import annotations

import numpy as np
import pytest

from edgeml.convert.layer_hessian import Moments, moments_of, shrunk
from edgeml.convert.rounding import best_scales, descend, round_in_order


def layer(groups: int, rows: int, columns: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(groups, columns, columns)) * np.exp(rng.normal(size=(groups, 1, columns)))
    gram = mixing.transpose(0, 2, 1) @ mixing / columns + 0.01 * np.eye(columns)
    weights = rng.normal(size=(groups, rows, columns))
    return weights, np.abs(weights).max(axis=2) / 7, gram  # 3 bits: errors matter


def loss(q: np.ndarray, weights: np.ndarray, scale: np.ndarray, gram: np.ndarray) -> float:
    error = weights - q * scale[:, :, None]
    return float(np.einsum("gok,gkl,gol->", error, gram, error))


@pytest.mark.parametrize(("groups", "rows", "columns"), [(1, 8, 150), (5, 3, 9), (1, 1, 1)])
def test_each_method_is_better_than_the_one_before(groups: int, rows: int, columns: int) -> None:
    weights, scale, gram = layer(groups, rows, columns)
    nearest = np.rint(weights / scale[:, :, None])
    compensated = round_in_order(weights, scale, gram)
    descended = descend(compensated, weights, scale, gram, sweeps=3)
    losses = [loss(q, weights, scale, gram) for q in (nearest, compensated, descended)]
    if columns == 1:
        assert losses[0] == losses[1] == losses[2]
    else:
        assert losses[1] < 0.8 * losses[0]
        assert losses[2] < losses[1]


def test_without_correlation_it_is_rounding_to_the_nearest() -> None:
    weights, scale, _ = layer(2, 4, 70)
    gram = np.stack([np.diag(np.arange(1.0, 71)), np.eye(70)])
    assert np.array_equal(round_in_order(weights, scale, gram), np.rint(weights / scale[:, :, None]))


def test_zeros_stay_zero() -> None:
    weights, scale, gram = layer(1, 6, 80)
    weights[:, :, ::3] = 0
    for q in (
        round_in_order(weights, scale, gram),
        descend(round_in_order(weights, scale, gram), weights, scale, gram, 2),
    ):
        assert not q[:, :, ::3].any()
        assert q.any()


def test_integers_stay_in_range() -> None:
    weights, scale, gram = layer(1, 6, 40)
    for q in (round_in_order(weights, scale / 100, gram), descend(np.zeros((1, 6, 40)), weights, scale / 100, gram, 2)):
        assert np.abs(q).max() == 127


def test_scales_find_the_grid_that_weights_lie_on() -> None:
    integers = np.random.default_rng(1).integers(-90, 91, (1, 3, 50))
    integers[:, :, 0] = 91  # a prime
    weights = integers * 0.037
    scale = best_scales(weights, np.ones((1, 50)))
    q = np.rint(weights / scale[:, :, None])
    assert np.allclose(q * scale[:, :, None], weights, rtol=0, atol=1e-12)


def test_scales_of_rows_without_weights_are_usable() -> None:
    assert (best_scales(np.zeros((1, 2, 5)), np.ones((1, 5))) > 0).all()


def test_moments_are_those_of_the_integers() -> None:
    q = np.random.default_rng(2).integers(-128, 128, (3, 500, 4)).astype(np.int8)
    found = moments_of(q, zero_point=-7)
    for g in range(3):
        assert np.allclose(found.gram[g], np.cov(q[g].T.astype(float), bias=True))
        assert np.allclose(found.mean[g], q[g].mean(axis=0) + 7)


def test_a_hessian_of_few_samples_is_shrunk_and_positive_definite() -> None:
    few = Moments(np.ones((1, 6, 6)), np.zeros((1, 6)), 2)
    gram = shrunk(few)[0]
    assert np.linalg.eigvalsh(gram).min() > 0
    assert gram[0, 1] == pytest.approx(0.25)  # n / (n + K)
    assert np.linalg.eigvalsh(shrunk(few._replace(gram=np.zeros((1, 6, 6))))[0]).min() > 0
