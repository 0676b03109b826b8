# SPDX-License-Identifier: Apache-2.0
"""The telemetry schema: canonical bytes, id, and what it refuses."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from edgeml.errors import ArtifactError, UsageError
from edgeml.observe.schema import LATENCY_EDGES, Feature, TelemetrySchema


def small_schema() -> TelemetrySchema:
    return TelemetrySchema(
        samples=5,
        features=(
            Feature(
                name="x[1]",
                source="input",
                tensor="x",
                kind="value",
                index=1,
                edges=(-1.0, 0.25, 1.0),
                reference=(0, 1, 1, 3, 0),
            ),
            Feature(
                name="x/clipped[0]",
                source="input",
                tensor="x",
                kind="channel_clipped",
                edges=(0.0, 0.5),
                reference=(0, 0, 5, 0),
                lo=-1.0,
                hi=1.0,
            ),
            Feature(
                name="latency",
                source="latency",
                tensor="",
                kind="latency_us",
                edges=LATENCY_EDGES,
                reference=(0,) * 27,
            ),
        ),
    )


def document(**changes: Any) -> dict[str, Any]:
    whole: dict[str, Any] = json.loads(small_schema().to_bytes())
    whole["features"][0].update(changes)
    return whole


def canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def test_bytes_of_a_feature_are_pinned() -> None:
    assert (
        small_schema()
        .to_bytes()
        .startswith(
            b'{"features":[{"edges":[-1.0,0.25,1.0],"index":1,"kind":"value","name":"x[1]",'
            b'"reference":[0,1,1,3,0],"source":"input","tensor":"x"},'
        )
    )


def test_reads_what_it_writes_and_hashes_it() -> None:
    schema = small_schema()
    assert TelemetrySchema.from_bytes(schema.to_bytes()) == schema
    assert schema.id == hashlib.sha256(schema.to_bytes()).digest()[:8]


def test_slots() -> None:
    schema = small_schema()
    assert [feature.slot_count for feature in schema.features] == [5, 4, 27]
    assert schema.offsets == (0, 5, 9, 36)
    assert schema.slot_count == 36


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "median"}, "unknown kind"),
        ({"kind": ["value"]}, "kind must be text"),
        ({"source": "latency"}, "needs source input or output"),
        ({"tensor": ""}, "tensor"),
        ({"index": -1}, "index"),
        ({"index": True}, "index"),
        ({"edges": [0.0]}, "2 to 1001 edges"),
        ({"edges": [0.0, 0.0, 1.0]}, "strictly ascending"),
        ({"edges": [0.0, 0.1, 1.0]}, "float32"),
        ({"edges": [0.0, 1e300, 2e300]}, "float32"),
        ({"edges": [0, 1, 2]}, "float32"),
        ({"edges": "abc"}, "edges must be an array"),
        ({"reference": [0, 1, 1, 3]}, "5 reference counts"),
        ({"reference": [0, 1, 1, 4, 0]}, "add up to 6"),
        ({"reference": [-1, 2, 1, 3, 0]}, "whole numbers"),
        ({"reference": [0, 1.0, 1, 3, 0]}, "whole numbers"),
        ({"lo": 0.0}, "lo and hi belong to channel_clipped"),
        ({"name": "latency"}, "two features have the name"),
        ({"name": ""}, "name"),
        ({"name": "\ud800"}, "Unicode"),
        ({"extra": 1}, "unknown key 'extra'"),
    ],
)
def test_refuses_a_feature_that_cannot_be(changes: dict[str, Any], message: str) -> None:
    data = json.dumps(document(**changes), sort_keys=True, separators=(",", ":")).encode()
    with pytest.raises(ArtifactError, match=message):
        TelemetrySchema.from_bytes(data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"\xff",
        b"[]",
        b"null",
        b'{"version":1}',
        b"[" * 100_000,
        b'{"features":[],"samples":0,"version":1}',
        small_schema().to_bytes().replace(b'"version":1', b'"version":2'),
        small_schema().to_bytes().replace(b'"version":1', b'"version":true'),
        small_schema().to_bytes() + b" ",
        small_schema().to_bytes().replace(b"-1.0,", b"-1.00,", 1),
        small_schema().to_bytes().replace(b'"samples":5', b'"samples":NaN'),
        small_schema().to_bytes().replace(b'"samples":5', b'"samples":5,"samples":5'),
        canonical({**document(), "samples": 2**63}),
        canonical({**document(), "features": {}}),
        canonical({**document(), "features": [1]}),
    ],
)
def test_refuses_bytes_that_are_no_schema(data: bytes) -> None:
    with pytest.raises(ArtifactError):
        TelemetrySchema.from_bytes(data)


def test_every_truncation_is_an_error() -> None:
    data = small_schema().to_bytes()
    for length in range(len(data)):
        with pytest.raises(ArtifactError):
            TelemetrySchema.from_bytes(data[:length])


def test_refuses_more_slots_than_a_message_holds() -> None:
    edges = tuple(float(i) for i in range(1001))
    features = tuple(
        Feature(name=f"x[{i}]", source="input", tensor="x", kind="value", index=i, edges=edges, reference=(0,) * 1003)
        for i in range(25)
    )
    with pytest.raises(UsageError, match="24576"):
        TelemetrySchema(samples=0, features=features)
