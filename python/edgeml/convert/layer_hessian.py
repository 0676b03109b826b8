# SPDX-License-Identifier: Apache-2.0
"""Means and centred second moments of what a layer reads; the latter are, up to a factor, the Hessian of its squared error.

With W the weights, V their integers times a scale and q the int8 inputs, rounding costs (W - V) G (W - V)^T, G the covariance of q; the
bias takes up the mean (W - V) E[q]. What the inputs themselves have lost is not made up for, neither by weights nor by biases: on
samples that calibration has not seen that does more harm than good.

Units are those of the input's scale. All are sums of integers below 2^53, so the order of summation does not matter and any number
of threads gives the same bits.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
DAMPING: Final = 0.01  # of the mean variance, added to every variance


class Moments(NamedTuple):
    """Per group: gram float64 [groups, K, K], means float64 [groups, K], and the number of places."""

    gram: Array
    mean: Array
    samples: int


def moments_of(q: Array, zero_point: int) -> Moments:
    """Q int8 [groups, n, K]; real = scale * (q - zero_point)."""
    groups, n, columns = q.shape
    gram, mean = np.empty((groups, columns, columns)), np.empty((groups, columns))
    for g in range(groups):
        integers = q[g].astype(np.float64) - zero_point
        mean[g] = integers.sum(axis=0) / n
        gram[g] = integers.T @ integers / n - np.outer(mean[g], mean[g])
    return Moments(gram, mean, n)


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
