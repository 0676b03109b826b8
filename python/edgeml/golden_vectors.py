# SPDX-License-Identifier: Apache-2.0
"""Golden vectors: inputs that everybody can make again, and what the artifact must answer to them, bit for bit.

They stand in the artifact's metadata under `golden` (docs/design/artifact-format.md, section 6) and hold no sample of
anybody's data: the inputs are bytes of SHAKE-256, spread over the range that calibration saw.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgeml.errors import ArtifactError
from edgeml.session import InferenceSession, TensorSpec

Array = npt.NDArray[Any]
VECTORS: Final = 4
VECTORS_MAX: Final = 1024  # of a file that someone else wrote


@dataclass(frozen=True, kw_only=True)
class Mismatch:
    """An output that is not what the artifact promises."""

    vector: int
    output: str
    expected_sha256: str
    actual_sha256: str


def make_golden_vectors(session: InferenceSession, ranges: Mapping[str, tuple[float, float]]) -> dict[str, Any]:
    """The metadata entry `golden` of the artifact that a session runs.

    session: of any instruction set; all give the same bits. ranges: least and largest value of every input by name.
    """
    inputs = {spec.name: [float(bound) for bound in ranges[spec.name]] for spec in session.get_inputs()}
    return {"inputs": inputs, "vectors": [_digests(session, inputs, vector) for vector in range(VECTORS)]}


def check_golden_vectors(session: InferenceSession) -> tuple[int, list[Mismatch]]:
    """Run an artifact's golden vectors: how many there are, and every output that differs.

    Raises:
        ArtifactError: the artifact carries none, or they do not fit its inputs and outputs.
    """
    inputs, vectors = _read(session)
    mismatches = []
    for number, expected in enumerate(vectors):
        actual = _digests(session, inputs, number)
        mismatches += [
            Mismatch(vector=number, output=name, expected_sha256=expected[name], actual_sha256=digest)
            for name, digest in actual.items()
            if digest != expected[name]
        ]
    return len(vectors), mismatches


def _digests(session: InferenceSession, inputs: Mapping[str, list[float]], vector: int) -> dict[str, str]:
    feed = {spec.name: _input(spec, inputs[spec.name], vector) for spec in session.get_inputs()}
    results = session.run(None, feed)
    return {spec.name: _sha256(array) for spec, array in zip(session.get_outputs(), results, strict=True)}


def _input(spec: TensorSpec, bounds: list[float], vector: int) -> Array:
    """One sample where the batch is free. low + (high - low) * byte / 255 in float64, then the input's dtype."""
    shape = [1 if isinstance(dim, str) else dim for dim in spec.shape]
    stream = hashlib.shake_256(f"edgeml golden vector {vector} {spec.name}".encode())
    share = np.frombuffer(stream.digest(int(np.prod(shape))), np.uint8).astype(np.float64) / 255
    values = bounds[0] + (bounds[1] - bounds[0]) * share
    return (values if spec.dtype.kind == "f" else np.rint(values)).reshape(shape).astype(spec.dtype)


def _sha256(array: Array) -> str:
    return hashlib.sha256(array.astype(array.dtype.newbyteorder("<")).tobytes()).hexdigest()


def _read(session: InferenceSession) -> tuple[dict[str, list[float]], list[dict[str, str]]]:
    golden = session.metadata.get("golden")
    if golden is None:
        raise ArtifactError("the artifact carries no golden vectors; convert the model again to have them made")
    try:
        inputs = {spec.name: _bounds(golden["inputs"][spec.name]) for spec in session.get_inputs()}
        vectors = [
            {spec.name: bytes.fromhex(vector[spec.name]).hex() for spec in session.get_outputs()}
            for vector in golden["vectors"]
        ]
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise ArtifactError(
            f"the artifact's golden vectors do not fit its inputs and outputs ({error}); convert the model again"
        ) from error
    if not 1 <= len(vectors) <= VECTORS_MAX:
        raise ArtifactError(f"the artifact has {len(vectors)} golden vectors, not 1 to {VECTORS_MAX}; convert it again")
    return inputs, vectors


def _bounds(pair: list[float]) -> list[float]:
    low, high = (float(bound) for bound in pair)
    if not (np.isfinite([low, high]).all() and low <= high):
        raise ValueError(f"range {pair}")
    return [low, high]
