# SPDX-License-Identifier: Apache-2.0
"""The weights and bias of a pruned layer that come nearest to wanted outputs, seen through the layer's activation.

Where the wanted output lies beyond a bound of the activation, every output beyond it is as good. So the least squares are solved
a few times: each time an output that is beyond the same bound already is its own target. The error through the activation never
grows by that (each round minimizes an upper bound of it that touches it at the last solution).
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgeml.convert.prune.activations import Fit
from edgeml.convert.prune.moments import Moments
from edgeml.convert.prune.obs import refit
from edgeml.ir import Clamp

Array = npt.NDArray[Any]
ROUNDS: Final = 6


def refit_to_outputs(fit: Fit, mask: Array, rows: Array, clamp: Clamp | None) -> tuple[Array, Array]:
    """Weights [O, K] that are zero outside mask [O, K], and bias [O]. The damping draws towards the given rows [O, K]."""
    moments = Moments(fit.x.shape[1])
    moments.add(fit.x)
    gram, mean, damping = moments.gram, moments.mean, moments.damping
    wanted = fit.wanted
    for _ in range(ROUNDS if clamp is not None else 1):
        wanted_mean = wanted.mean(axis=0, dtype=np.float64)
        cross = fit.x.T @ (wanted - wanted_mean.astype(np.float32)) / len(wanted) + damping * rows.T
        new = refit(mask, gram, cross)
        new_bias = wanted_mean - new @ mean
        if clamp is not None:
            wanted = _targets(fit, new, new_bias, clamp)
    return new, new_bias


def _targets(fit: Fit, rows: Array, bias: Array, clamp: Clamp) -> Array:
    """The wanted outputs, those beyond a bound moved to the present output or to the bound, whichever lies beyond."""
    now = fit.x @ rows.T.astype(np.float32) + bias.astype(np.float32)
    low, high = np.float32(clamp.low), np.float32(clamp.high)
    below = np.where(fit.wanted <= low, np.minimum(now, low), fit.wanted)
    targets: Array = np.where(fit.wanted >= high, np.maximum(now, high), below)
    return targets
