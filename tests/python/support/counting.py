# SPDX-License-Identifier: Apache-2.0
"""A small telemetry schema and windows of it, for tests of what happens to counts after the counting."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgeml.observe import Feature, Observer, TelemetrySchema
from edgeml.observe.schema import LATENCY_EDGES

if TYPE_CHECKING:
    from edgeml.privacy import RawCounts


def small_schema() -> TelemetrySchema:
    """One input value in four bins, and latency: 2 features, 34 slots."""
    return TelemetrySchema(
        samples=4,
        features=(
            Feature(
                name="x[0]",
                source="input",
                tensor="x",
                kind="value",
                edges=(0.0, 0.25, 0.5, 0.75, 1.0),
                reference=(0, 0, 1, 1, 1, 1, 0),
            ),
            Feature(
                name="latency_us",
                source="latency",
                tensor="",
                kind="latency_us",
                edges=LATENCY_EDGES,
                reference=(0,) * 27,
            ),
        ),
    )


def raw_window(samples: int = 5, value: float = 0.6, latency_us: float = 100.0) -> RawCounts:
    """Counts of `samples` equal samples by `small_schema()`."""
    observer = Observer(small_schema())
    observer.observe({"x": np.full((samples, 1), value, dtype=np.float32)}, {}, latency_us)
    return observer.take()
