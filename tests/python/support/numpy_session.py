# SPDX-License-Identifier: Apache-2.0
"""A session without an artifact, for tests of the monitor alone: y = softmax([x, 1 - x]) in numpy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edgeml.observe import Feature, TelemetrySchema
from edgeml.observe.schema import LATENCY_EDGES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True)
class NumpySpec:
    name: str
    scale: float = 0.0
    zero_point: int = 0


def two_class_schema() -> TelemetrySchema:
    """Input value, confidence and latency: 3 features."""
    halves = (0.0, 0.5, 1.0)
    return TelemetrySchema(
        samples=4,
        features=(
            Feature(name="x", source="input", tensor="x", kind="value", edges=halves, reference=(0, 0, 2, 2, 0)),
            Feature(
                name="confidence",
                source="output",
                tensor="y",
                kind="confidence",
                edges=halves,
                reference=(0, 0, 0, 4, 0),
            ),
            Feature(
                name="latency", source="latency", tensor="", kind="latency_us", edges=LATENCY_EDGES, reference=(0,) * 27
            ),
        ),
    )


class NumpySession:
    isa = "ref"
    model_id = b"numpymod"
    metadata: Mapping[str, Any] = {"name": "two classes"}

    def __init__(self, schema: TelemetrySchema | None = None, input_spec: NumpySpec | None = None) -> None:
        self.telemetry_bytes: bytes | None = (schema or two_class_schema()).to_bytes()
        self._input_spec = input_spec or NumpySpec("x")

    def get_inputs(self) -> Sequence[NumpySpec]:
        return [self._input_spec]

    def get_outputs(self) -> Sequence[NumpySpec]:
        return [NumpySpec("y")]

    def run(self, output_names: Sequence[str] | None, input_feed: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        assert output_names is None
        logits = np.concatenate([input_feed["x"], 1 - input_feed["x"]], axis=1).astype(np.float32)
        exponentials = np.exp(logits)
        return [exponentials / exponentials.sum(axis=1, keepdims=True)]
