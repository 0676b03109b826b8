# SPDX-License-Identifier: Apache-2.0
"""Means and centred second moments of what a layer reads; the latter are, up to a factor, the Hessian of its squared error.

With V the int8 weights and q the int8 inputs the error is E|V q + b - W x|^2. The bias b takes up the mean; of the rest, rounding W
to V costs (W - V) G (W - V)^T with G the covariance of q. What the int8 inputs themselves have lost is not made up for by other
weights: on samples that calibration has not seen that does more harm than good.

Units are those of the input's scale. All are sums of integers below 2^53, so the order of summation does not matter and any number
of threads gives the same bits.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
DAMPING: Final = 0.01  # of the mean variance, added to every variance
FRACTION: Final = 256.0  # float inputs are rounded to the input's scale over this


class Moments(NamedTuple):
    """Per group: gram float64 [groups, K, K], means of the float and the int8 inputs float64 [groups, K], and their number."""

    gram: Array
    x_mean: Array
    q_mean: Array
    samples: int


def moments_of(x: Array, q: Array, scale: float, zero_point: int) -> Moments:
    """X float [groups, n, K], q int8 [groups, n, K] of the same places; real = scale * (q - zero_point)."""
    groups, n, columns = x.shape
    gram = np.empty((groups, columns, columns))
    x_mean, q_mean = (np.empty((groups, columns)) for _ in range(2))
    for g in range(groups):
        x_mean[g] = np.rint(x[g].astype(np.float64) * (FRACTION / scale)).sum(axis=0) / (n * FRACTION)
        integers = q[g].astype(np.float64) - zero_point
        q_mean[g] = integers.sum(axis=0) / n
        gram[g] = integers.T @ integers / n - np.outer(q_mean[g], q_mean[g])
    return Moments(gram, x_mean, q_mean, n)


def shrunk(moments: Moments) -> Array:
    """G with its covariances shrunk by K / (K + n), as few samples overstate them, and positive definite."""
    columns = moments.gram.shape[-1]
    share = columns / (columns + moments.samples)
    identity = np.eye(columns)
    variances = np.diagonal(moments.gram, axis1=-2, axis2=-1)
    floor = np.maximum(DAMPING * variances.mean(axis=-1), 1e-9)
    own = variances[..., None] * identity
    result: Array = (1 - share) * moments.gram + share * own + floor[..., None, None] * identity
    return result
