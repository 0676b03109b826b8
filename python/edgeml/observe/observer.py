# SPDX-License-Identifier: Apache-2.0
"""Counts what a model sees and says, by its telemetry schema; the arithmetic is in cpp/src/observe."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgeml import _core
from edgeml.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from edgeml.observe.schema import TelemetrySchema


class Observer:
    """The window that is being counted. Not for two threads at once."""

    def __init__(self, schema: TelemetrySchema) -> None:
        """Start with a window of zeros for `schema`."""
        self.schema = schema
        features = [feature for feature in schema.features if feature.source != "latency"]
        self._tensors = list(dict.fromkeys((feature.source, feature.tensor) for feature in features))
        self._core = _core.Observer(
            features=[
                (
                    feature.kind,
                    -1 if feature.source == "latency" else self._tensors.index((feature.source, feature.tensor)),
                    feature.index,
                    feature.lo or 0.0,
                    feature.hi or 0.0,
                    list(feature.edges),
                )
                for feature in schema.features
            ],
            tensor_names=[tensor for _, tensor in self._tensors],
        )

    def observe(
        self,
        inputs: Mapping[str, NDArray[np.float32]],
        outputs: Mapping[str, NDArray[np.float32]],
        latency_us: float,
    ) -> None:
        """Count a batch: every sample adds 1 to one slot of every feature.

        Arrays are float32 [samples, channels, ...] with the same number of samples; those that the schema does not
        name are ignored. `latency_us` is the time of the inference in microseconds, counted once a sample.

        Raises:
            InputError: a tensor of the schema is missing, or has another dtype or too few elements. Nothing is counted.
        """
        arrays = []
        for source, tensor in self._tensors:
            array = (inputs if source == "input" else outputs).get(tensor)
            if array is None:
                raise InputError(f"observe: {source} {tensor!r} of the telemetry schema is missing")
            arrays.append(np.ascontiguousarray(array))
        self._core.observe(arrays, latency_us)

    def take(self) -> _core.RawCounts:
        """Hand out the counts since the last take; the window starts again from zero."""
        return self._core.take()

    def put_back(self, raw: _core.RawCounts) -> None:
        """Add counts that `take` gave and that could not be released to the window that is being counted.

        Raises:
            UsageError: they are of another schema.
        """
        self._core.put_back(raw)
