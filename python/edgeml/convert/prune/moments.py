# SPDX-License-Identifier: Apache-2.0
"""Second moments of what the weights of a layer see, summed over calibration data batch by batch.

G = E[(x - mx)(x - mx)^T] is, up to a factor, the layer Hessian of Optimal Brain Compression (arXiv 2208.11580) with the bias left
free: weights moved by D cost D G D^T once the bias has taken up what moves the mean.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
DAMPING: Final = 0.01  # of the mean variance, added to every variance: what calibration never showed stays as it was
_DAMPING_MIN: Final = 1e-12  # for inputs that never change


class Moments:
    """Sums over samples and positions, float64, of x [columns]."""

    def __init__(self, columns: int) -> None:
        self._count = 0
        self._x = np.zeros(columns)
        self._xx = np.zeros((columns, columns))

    def add(self, x: Array) -> None:
        """Count inputs float32 [n, columns]."""
        self._count += len(x)
        self._x += x.sum(axis=0, dtype=np.float64)
        self._xx += x.T @ x

    @property
    def mean(self) -> Array:
        """[columns]."""
        mean: Array = self._x / self._count
        return mean

    @property
    def damping(self) -> float:
        """What `gram` adds to every variance."""
        variances = np.maximum(np.diagonal(self._xx) / self._count - self.mean**2, 0.0)
        return max(DAMPING * float(variances.mean()), _DAMPING_MIN)

    @property
    def gram(self) -> Array:
        """G [columns, columns] with the damping on its diagonal: positive definite."""
        gram: Array = self._xx / self._count - np.outer(self.mean, self.mean)
        gram[np.diag_indices_from(gram)] = np.maximum(np.diagonal(gram), 0.0) + self.damping
        return gram
