# SPDX-License-Identifier: Apache-2.0
"""Runs an artifact over many samples on the converter's machine, in batches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgeml.artifact import Artifact
from edgeml.artifact.evaluate import evaluate
from edgeml.convert.progress import progress

Array = npt.NDArray[Any]
BATCH: Final = 8  # samples at a time where the batch is free


def run_artifact(artifact: Artifact, feed: Mapping[str, Array]) -> dict[str, Array]:
    """Outputs by name. The feed is checked by the caller; its samples are a multiple of a fixed batch."""
    graph = artifact.graph
    step = graph.tensors[graph.inputs[0]].dims[0] or BATCH
    samples = len(next(iter(feed.values())))
    parts = []
    with progress("artifact", samples) as advance:
        for begin in range(0, samples, step):
            parts.append(evaluate(graph, {name: array[begin : begin + step] for name, array in feed.items()}))
            advance(step)
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
