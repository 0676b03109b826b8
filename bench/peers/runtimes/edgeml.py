# SPDX-License-Identifier: Apache-2.0
"""edgeml, built from this tree as a wheel."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np

from bench.peers.job import Job

PACKAGES: Final = (".",)
TOOL_PACKAGES: Final = (".[convert]",)
VARIANTS: Final = ("int8",)
AVX2: Final[dict[str, str] | None] = {"EDGEML_ISA": "avx2"}


def prepare(job: Job) -> None:
    import edgeml  # noqa: PLC0415

    with np.load(job.calibration) as data:
        artifact = edgeml.convert(job.model, calibration=dict(data))
    artifact.save(os.fspath(job.file))


def load(file: Path, threads: int, feed: dict[str, Any]) -> Callable[[], list[Any]]:
    import edgeml  # noqa: PLC0415

    session = edgeml.InferenceSession(os.fspath(file), threads=threads)
    return lambda: session.run(None, feed)
