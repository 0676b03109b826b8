# SPDX-License-Identifier: Apache-2.0
"""Runs an artifact over many samples on the converter's machine, in batches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgeml.artifact import Artifact
from edgeml.convert.progress import progress
from edgeml.session import InferenceSession

Array = npt.NDArray[Any]
BATCH: Final = 8  # samples at a time where the batch is free


def run_artifact(artifact: Artifact, feed: Mapping[str, Array]) -> dict[str, Array]:
    """Outputs by name. The feed is checked by the caller; its samples are a multiple of a fixed batch."""
    session = InferenceSession(artifact.to_bytes())
    names = [output.name for output in session.get_outputs()]
    declared = session.get_inputs()[0].shape[0]
    step = declared if isinstance(declared, int) else BATCH
    samples = len(next(iter(feed.values())))
    parts = []
    with progress("artifact", samples) as advance:
        for begin in range(0, samples, step):
            parts.append(session.run(None, {name: array[begin : begin + step] for name, array in feed.items()}))
            advance(step)
    return {name: np.concatenate(arrays) for name, arrays in zip(names, zip(*parts, strict=True), strict=True)}
