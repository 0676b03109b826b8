# SPDX-License-Identifier: Apache-2.0
"""Models that the fleet knows: an artifact pushed here gives its windows their schema."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

import sqlalchemy as sa

from edgeml.artifact.artifact import Artifact
from edgeml.errors import FleetError
from edgeml.fleet.store import tables as t
from edgeml.fleet.store.statements import insert_new
from edgeml.observe.schema import TelemetrySchema


@dataclass(frozen=True, kw_only=True)
class PushedModel:
    """A row of the registry; `new` is false where the model had been pushed before."""

    model_id: bytes
    schema_id: bytes
    name: str
    features: int
    new: bool


def push_model(connection: sa.Connection, artifact: Artifact, *, now_s: int) -> PushedModel:
    """Make a model and its telemetry schema known; pushing it again changes nothing.

    Raises:
        FleetError: the artifact has no telemetry schema.
        ArtifactError: its schema is not valid.
    """
    document = artifact.telemetry_bytes
    name = str(artifact.metadata.get("name", ""))
    if document is None:
        raise FleetError(f"model {name!r} has no telemetry schema; convert it with edgeml convert and calibration data")
    schema = TelemetrySchema.from_bytes(document)
    data = artifact.to_bytes()
    schema_row = {"schema_id": schema.id, "slots": schema.slot_count, "document": document}
    insert_new(connection, t.telemetry_schema, [schema_row])
    row = {
        "model_id": artifact.model_id,
        "sha256": hashlib.sha256(data).digest(),
        "bytes": len(data),
        "name": name,
        "metadata": json.dumps(dict(artifact.metadata), sort_keys=True),
        "schema_id": schema.id,
        "pushed_s": now_s,
    }
    inserted = insert_new(connection, t.model, [row], t.model.c.model_id)
    return PushedModel(
        model_id=artifact.model_id,
        schema_id=schema.id,
        name=name,
        features=len(schema.features),
        new=bool(inserted),
    )
