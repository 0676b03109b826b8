# SPDX-License-Identifier: Apache-2.0
"""Rounding of weights that lets each weight make up for the errors of those before it, by the layer Hessian.

`round_in_order` is the update of Optimal Brain Quantization in one fixed order for all rows (GPTQ, arXiv 2210.17323);
`descend` then changes single weights as long as that lowers the error. All arrays have a leading axis of groups.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
LIMIT: Final = 127  # of a weight's magnitude
BLOCK: Final = 64  # columns whose effect on later columns is applied in one product


def round_in_order(weights: Array, scale: Array, gram: Array) -> Array:
    """Integers float64 [groups, O, K] in -127..127 for weights [groups, O, K] at scale [groups, O].

    gram [groups, K, K], positive definite. Weights that are 0 stay 0: pruned ones must. Columns with the largest variance go first,
    while all others can still make up for their errors.
    """
    groups, _, columns = weights.shape
    order = np.argsort(-np.diagonal(gram, axis1=1, axis2=2), axis=1, kind="stable")
    rows = np.arange(groups)[:, None]
    shuffled = gram[rows[:, :, None], order[:, :, None], order[:, None, :]]
    upper = _upper_of_inverse(shuffled)
    w = np.take_along_axis(weights, order[:, None, :], axis=2)
    present = w != 0
    q = np.empty_like(w)
    for begin in range(0, columns, BLOCK):
        end = min(begin + BLOCK, columns)
        errors = np.empty((groups, w.shape[1], end - begin))
        for j in range(begin, end):
            q[:, :, j] = np.clip(np.rint(w[:, :, j] / scale), -LIMIT, LIMIT) * present[:, :, j]
            error = (w[:, :, j] - q[:, :, j] * scale) / upper[:, j, j, None]
            w[:, :, j + 1 : end] -= error[:, :, None] * upper[:, None, j, j + 1 : end]
            errors[:, :, j - begin] = error
        w[:, :, end:] -= errors @ upper[:, begin:end, end:]
    back = np.argsort(order, axis=1, kind="stable")
    return np.take_along_axis(q, back[:, None, :], axis=2)


def _upper_of_inverse(gram: Array) -> Array:
    """Upper triangular U with U^T U = G^-1."""
    inverse = np.linalg.inv(gram)
    upper: Array = np.linalg.cholesky((inverse + inverse.transpose(0, 2, 1)) / 2).transpose(0, 2, 1)
    return upper


def descend(q: Array, weights: Array, scale: Array, gram: Array, sweeps: int) -> Array:
    """Sweeps of coordinate descent over the integers q: each takes the value with the least error given all others."""
    q = q.copy()
    present = weights != 0
    error = weights - q * scale[:, :, None]
    slope = error @ gram  # error times G, kept up to date
    for _ in range(sweeps):
        for j in range(q.shape[2]):
            wanted = q[:, :, j] + slope[:, :, j] / (gram[:, None, j, j] * scale)
            step = np.clip(np.rint(wanted), -LIMIT, LIMIT) * present[:, :, j] - q[:, :, j]
            if step.any():
                q[:, :, j] += step
                slope -= (step * scale)[:, :, None] * gram[:, None, j, :]
    return q


def best_scales(weights: Array, variances: Array) -> Array:
    """Per row of weights [groups, O, K] the scale with the least error, columns weighted by variances [groups, K].

    Candidates take the largest weight to 127, 126, ... 64 (weights that came from a grid of integers are met exactly) or cut it
    off by up to a third.
    """
    largest = np.maximum(np.abs(weights).max(axis=2), 1e-30)
    steps = np.concatenate([np.arange(LIMIT, 63, -1), np.linspace(128, 190, 32)])
    best, least = largest / LIMIT, np.full(largest.shape, np.inf)
    for step in steps:
        scale = largest / step
        q = np.clip(np.rint(weights / scale[:, :, None]), -LIMIT, LIMIT)
        error = ((weights - q * scale[:, :, None]) ** 2 * variances[:, None, :]).sum(axis=2)
        better = error < least
        best, least = np.where(better, scale, best), np.where(better, error, least)
    result: Array = best
    return result
