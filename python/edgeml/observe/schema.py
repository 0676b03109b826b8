# SPDX-License-Identifier: Apache-2.0
"""The telemetry schema: what one window of counts means (docs/design/wire.md, section 1).

Made by the converter from calibration data and carried in the artifact; devices count by it, the fleet tests by it.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import struct
from dataclasses import dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from edgeml.errors import ArtifactError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

SCHEMA_VERSION: Final = 1
FEATURES_MAX: Final = 1024
BINS_MAX: Final = 1000  # of one feature
SLOTS_MAX: Final = 24576  # of all features: a window always fits into one message, 10 bytes a slot
TELEMETRY_BYTES_MAX: Final = 16 << 20
VALUE_ELEMENTS_MAX: Final = 64  # a tensor with more elements a sample has no `value` features
NAME_CHARACTERS_MAX: Final = 1024
SCHEMA_ID_BYTES: Final = 8
OUTSIDE_SLOTS: Final = 3  # NaN, below, above: the slots of a feature that are not bins

SLOT_NAN: Final = 0
SLOT_LOW: Final = 1
SLOT_FIRST_BIN: Final = 2

SOURCES_OF_KIND: Final = {
    "value": ("input", "output"),
    "channel_mean": ("input",),
    "channel_std": ("input",),
    "channel_clipped": ("input",),
    "class": ("output",),
    "confidence": ("output",),
    "margin": ("output",),
    "entropy": ("output",),
    "latency_us": ("latency",),
}
KINDS_WITH_INDEX: Final = ("value", "channel_mean", "channel_std", "channel_clipped")
LATENCY_EDGES: Final = tuple(float(2**i) for i in range(25))  # 1 us to 2^24 us (16.8 s)


@dataclass(frozen=True, kw_only=True)
class Feature:
    """One number of every sample, and the slots that it is counted in.

    `edges` are k + 1 finite float32, strictly ascending; `reference` are the counts of the calibration samples in the
    k + 3 slots: NaN, below, k bins, above. `lo` and `hi` are set for `channel_clipped` and for nothing else.

    Raises:
        UsageError: a field is outside what docs/design/wire.md, section 1 allows.
    """

    name: str
    source: str
    tensor: str
    kind: str
    index: int = 0
    edges: tuple[float, ...]
    reference: tuple[int, ...]
    lo: float | None = None
    hi: float | None = None

    def __post_init__(self) -> None:
        _check_text(self.name, "a feature's name")
        where = f"feature {self.name!r}"
        if self.kind not in SOURCES_OF_KIND:
            raise UsageError(f"{where}: unknown kind {self.kind!r}, one of {', '.join(SOURCES_OF_KIND)} is needed")
        if self.source not in SOURCES_OF_KIND[self.kind]:
            raise UsageError(
                f"{where}: kind {self.kind} needs source {' or '.join(SOURCES_OF_KIND[self.kind])}, not {self.source!r}"
            )
        if self.source == "latency":
            if self.tensor != "":
                raise UsageError(f"{where}: a latency feature has no tensor, not {self.tensor!r}")
        else:
            _check_text(self.tensor, f"{where}: tensor")
        if not _is_uint(self.index) or self.index >= 2**31 or (self.index and self.kind not in KINDS_WITH_INDEX):
            raise UsageError(f"{where}: index {self.index!r} is not possible for kind {self.kind}")
        self._check_edges(where)
        self._check_reference(where)
        self._check_bounds(where)

    @property
    def bin_count(self) -> int:
        """Number of bins, k."""
        return len(self.edges) - 1

    @property
    def slot_count(self) -> int:
        """Number of slots, k + 3."""
        return self.bin_count + OUTSIDE_SLOTS

    def _check_edges(self, where: str) -> None:
        edges = self.edges
        if not isinstance(edges, tuple) or not 2 <= len(edges) <= BINS_MAX + 1:
            raise UsageError(f"{where}: 2 to {BINS_MAX + 1} edges are needed")
        if not all(_is_float32(e) for e in edges):
            raise UsageError(f"{where}: edges must be finite float32 values")
        if any(a >= b for a, b in itertools.pairwise(edges)):
            raise UsageError(f"{where}: edges must be strictly ascending")
        if self.kind == "latency_us" and edges != LATENCY_EDGES:
            raise UsageError(f"{where}: the edges of latency are the powers of two from 1 to 2^24")

    def _check_reference(self, where: str) -> None:
        reference = self.reference
        if not isinstance(reference, tuple) or len(reference) != self.slot_count:
            raise UsageError(f"{where}: {self.slot_count} reference counts are needed, one for each slot")
        if not all(_is_uint(n) for n in reference):
            raise UsageError(f"{where}: reference counts must be whole numbers from 0 to 2^63 - 1")

    def _check_bounds(self, where: str) -> None:
        if self.kind != "channel_clipped":
            if self.lo is not None or self.hi is not None:
                raise UsageError(f"{where}: lo and hi belong to channel_clipped, not to {self.kind}")
            return
        if self.lo is None or self.hi is None or not _is_float32(self.lo) or not _is_float32(self.hi):
            raise UsageError(f"{where}: channel_clipped needs lo and hi as finite float32 values")
        if self.lo > self.hi:
            raise UsageError(f"{where}: lo {self.lo} is above hi {self.hi}")


@dataclass(frozen=True, kw_only=True)
class TelemetrySchema:
    """The features of a model, in the order of the window vector.

    `samples` is the number of calibration samples behind the reference counts.

    Raises:
        UsageError: names repeat, a limit is passed, or reference counts do not add up to `samples`.
    """

    samples: int
    features: tuple[Feature, ...]

    def __post_init__(self) -> None:
        if not _is_uint(self.samples):
            raise UsageError(f"telemetry schema: samples {self.samples!r} is not a whole number from 0 to 2^63 - 1")
        if not isinstance(self.features, tuple) or not 1 <= len(self.features) <= FEATURES_MAX:
            raise UsageError(f"telemetry schema: 1 to {FEATURES_MAX} features are needed")
        names = [feature.name for feature in self.features]
        if len(set(names)) != len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise UsageError(f"telemetry schema: two features have the name {twice!r}")
        if self.slot_count > SLOTS_MAX:
            raise UsageError(f"telemetry schema: {self.slot_count} slots, at most {SLOTS_MAX} fit into a message")
        for feature in self.features:
            expected = 0 if feature.source == "latency" else self.samples
            if sum(feature.reference) != expected:
                raise UsageError(
                    f"feature {feature.name!r}: reference counts add up to {sum(feature.reference)}, not {expected}"
                )

    @property
    def slot_count(self) -> int:
        """Length of the window vector."""
        return sum(feature.slot_count for feature in self.features)

    @cached_property
    def offsets(self) -> tuple[int, ...]:
        """First slot of each feature in the window vector, and the length of the vector as the last entry."""
        offsets = [0]
        for feature in self.features:
            offsets.append(offsets[-1] + feature.slot_count)
        return tuple(offsets)

    @cached_property
    def id(self) -> bytes:
        """Schema id: first 8 bytes of the SHA-256 of `to_bytes()`."""
        return hashlib.sha256(self.to_bytes()).digest()[:SCHEMA_ID_BYTES]

    def to_bytes(self) -> bytes:
        """Canonical UTF-8 JSON: keys sorted, no spaces, floats as the shortest text that reads back the same."""
        document = {
            "version": SCHEMA_VERSION,
            "samples": self.samples,
            "features": [
                {f.name: getattr(feature, f.name) for f in fields(feature) if getattr(feature, f.name) is not None}
                for feature in self.features
            ],
        }
        text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        return text.encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> TelemetrySchema:
        """Read the telemetry section of an artifact.

        Raises:
            ArtifactError: not the canonical JSON of a valid schema.
        """
        if len(data) > TELEMETRY_BYTES_MAX:
            raise ArtifactError(f"telemetry schema: {len(data)} bytes, at most {TELEMETRY_BYTES_MAX} are allowed")
        try:
            document = json.loads(data.decode(), object_pairs_hook=_object_without_repeats)
        except (ValueError, RecursionError) as error:
            raise ArtifactError(f"telemetry schema: not UTF-8 JSON ({error}); convert the model again") from error
        try:
            schema = _schema_of(document)
        except UsageError as error:
            raise ArtifactError(f"{error}; convert the model again") from error
        if schema.to_bytes() != data:
            raise ArtifactError("telemetry schema: not in canonical form (wire.md, section 1); convert the model again")
        return schema


def _schema_of(document: Any) -> TelemetrySchema:
    _check_keys(document, {"version", "samples", "features"}, set(), "telemetry schema")
    if document["version"] != SCHEMA_VERSION or isinstance(document["version"], bool):
        raise UsageError(f"telemetry schema: version {document['version']!r}, this edgeml reads {SCHEMA_VERSION}")
    rows = document["features"]
    if not isinstance(rows, list) or not 1 <= len(rows) <= FEATURES_MAX:
        raise UsageError(f"telemetry schema: 1 to {FEATURES_MAX} features are needed")
    return TelemetrySchema(
        samples=document["samples"], features=tuple(_feature_of(row, number) for number, row in enumerate(rows))
    )


def _feature_of(row: Any, number: int) -> Feature:
    where = f"telemetry schema: feature number {number}"
    needed = {"name", "source", "tensor", "kind", "index", "edges", "reference"}
    _check_keys(row, needed, {"lo", "hi"}, where)
    for key in ("edges", "reference"):
        if not isinstance(row[key], list):
            raise UsageError(f"{where}: {key} must be an array")
    for key in ("source", "kind"):
        if not isinstance(row[key], str):
            raise UsageError(f"{where}: {key} must be text")
    return Feature(**{**row, "edges": tuple(row["edges"]), "reference": tuple(row["reference"])})


def _check_keys(document: Any, needed: set[str], allowed: set[str], where: str) -> None:
    if not isinstance(document, dict):
        raise UsageError(f"{where}: not a JSON object")
    if missing := needed - document.keys():
        raise UsageError(f"{where}: key {min(missing)!r} is missing")
    if unknown := document.keys() - needed - allowed:
        raise UsageError(f"{where}: unknown key {min(unknown)!r}")


def _object_without_repeats(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key is repeated")
    return result


def _check_text(value: Any, what: str) -> None:
    if not isinstance(value, str) or not 1 <= len(value) <= NAME_CHARACTERS_MAX:
        raise UsageError(f"{what} must be text of 1 to {NAME_CHARACTERS_MAX} characters, not {value!r:.80}")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise UsageError(f"{what} is not valid Unicode: {value!r:.80}") from error


def _is_uint(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def _is_float32(value: Any) -> bool:
    if not isinstance(value, float) or not math.isfinite(value):
        return False
    try:
        return bool(struct.unpack("<f", struct.pack("<f", value))[0] == value)
    except OverflowError:  # beyond the largest float32
        return False
