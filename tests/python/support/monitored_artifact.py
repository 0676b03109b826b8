# SPDX-License-Identifier: Apache-2.0
"""The artifact of small_artifact.py with a telemetry schema: what a device runs in tests."""

from __future__ import annotations

from dataclasses import replace

from edgeml.artifact import Artifact
from edgeml.observe import Feature, TelemetrySchema
from edgeml.observe.schema import LATENCY_EDGES
from support.small_artifact import INPUT_SHAPE, every_operator

INPUT = "t0"


def monitored_artifact() -> Artifact:
    """Channel means of the input, class and confidence of the first output, latency: 6 features."""
    content = every_operator()
    output = content.graph.tensors[content.graph.outputs[0]].name
    classes = tuple(float(i) for i in range(7))
    features = [
        Feature(
            name=f"{INPUT}/mean[{channel}]",
            source="input",
            tensor=INPUT,
            kind="channel_mean",
            index=channel,
            edges=(-1.0, -0.5, 0.0, 0.5, 1.0),
            reference=(0,) * 7,
        )
        for channel in range(INPUT_SHAPE[0])
    ]
    features += [
        Feature(name=f"{output}/{kind}", source="output", tensor=output, kind=kind, edges=classes, reference=(0,) * 9)
        for kind in ("class", "confidence")
    ]
    features.append(
        Feature(
            name="latency_us", source="latency", tensor="", kind="latency_us", edges=LATENCY_EDGES, reference=(0,) * 27
        )
    )
    schema = TelemetrySchema(samples=0, features=tuple(features))
    return Artifact.build(replace(content, telemetry=schema.to_bytes()))
