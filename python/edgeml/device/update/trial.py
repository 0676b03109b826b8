# SPDX-License-Identifier: Apache-2.0
"""What a model must show before it is trusted, as arithmetic: beside the old one (shadow), then in its place (probation).

Each gives a verdict: None while there is too little to say, "" where all is well, otherwise why not.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from edgeml.telemetry.want import PPM

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgeml.telemetry.want import Want

    Outputs = Mapping[str, NDArray[Any]]

RELATIVE_DISTANCE_MAX: Final = 0.1  # of outputs that are no decision between classes
LATENCIES_KEPT: Final = 512


def decides_alike(one: Outputs, other: Outputs) -> bool:
    """Whether two models decide alike: the largest element along the last axis, or nearly the same values where it is short."""
    for name, a in one.items():
        b = other[name]
        if a.shape != b.shape:
            return False
        if a.ndim and a.shape[-1] > 1:
            if not np.array_equal(a.argmax(axis=-1), b.argmax(axis=-1)):
                return False
        elif np.linalg.norm(np.subtract(a, b, dtype=np.float64)) > RELATIVE_DISTANCE_MAX * np.linalg.norm(a):
            return False
    return True


class Shadow:
    """The new model computes what the old one does; its answers go nowhere."""

    def __init__(self, want: Want) -> None:
        self._needed = want.shadow_inferences
        self._limit = want.shadow_disagreement_ppm / PPM
        self._seen = self._other = 0

    def add(self, old: Outputs, new: Outputs) -> None:
        """Compare one inference."""
        self._seen += 1
        self._other += not decides_alike(old, new)

    def verdict(self) -> str | None:
        """See the module."""
        if self._seen < self._needed:
            return None
        return "shadow: too many other decisions" if self._other > self._limit * self._seen else ""


class Probation:
    """The new model is active; the old one waits in the other slot."""

    def __init__(self, want: Want, *, old_latency_us: float | None, now: float) -> None:
        """`old_latency_us`: median with the old model, None where it is not known; `now`: seconds of a clock that only goes on."""
        self._want = want
        self._old_latency_us = old_latency_us
        self._began = now
        self._seen = self._bad = 0
        self._latencies_us: list[float] = []

    def add(self, outputs: Outputs, latency_us: float) -> None:
        """Count one inference."""
        self._seen += 1
        self._bad += not all(np.isfinite(array).all() for array in outputs.values() if array.dtype.kind == "f")
        if len(self._latencies_us) < LATENCIES_KEPT:
            self._latencies_us.append(latency_us)

    def verdict(self, now: float) -> str | None:
        """See the module. Outputs that are not finite end it as soon as they are too many for the whole of it."""
        want = self._want
        if self._bad > want.error_ppm / PPM * max(self._seen, want.probation_inferences):
            return "probation: outputs are not finite"
        if self._seen < want.probation_inferences or now - self._began < want.probation_s:
            return None
        limit_us = (self._old_latency_us or 0.0) * want.latency_ratio_milli / 1000
        if limit_us and statistics.median(self._latencies_us) > limit_us:
            return "probation: too slow"
        return ""
