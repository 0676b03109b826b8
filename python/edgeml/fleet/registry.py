# SPDX-License-Identifier: Apache-2.0
"""Models that the fleet knows: signed, with their card; an artifact pushed here gives its windows their schema."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

import sqlalchemy as sa

from edgeml.artifact.artifact import Artifact
from edgeml.errors import FleetError
from edgeml.fleet import audit
from edgeml.fleet.model_card import ModelCard
from edgeml.fleet.store import tables as t
from edgeml.fleet.store.release_tables import model_card
from edgeml.fleet.store.statements import insert_new
from edgeml.fleet.update_repository import UpdateRepository
from edgeml.observe.schema import TelemetrySchema


@dataclass(frozen=True, kw_only=True)
class PushedModel:
    """A row of the registry; `new` is false where the model had been pushed before."""

    model_id: bytes
    schema_id: bytes
    name: str
    features: int
    new: bool


def enter_model(  # noqa: PLR0913 - what, on which shelf, with which card, by whom, when
    connection: sa.Connection,
    repository: UpdateRepository,
    artifact: Artifact,
    card: ModelCard,
    *,
    actor: str,
    now_s: int,
) -> PushedModel:
    """Sign a model with its card, shelve it for devices, and make it known; a model that is in already stays as it is.

    Raises:
        FleetError: the artifact has no telemetry schema, or the repository cannot sign.
        ArtifactError: its schema is not valid.
    """
    pushed = push_model(connection, artifact, now_s=now_s)
    known = connection.execute(sa.select(model_card.c.serial).where(model_card.c.model_id == pushed.model_id)).scalar()
    if known is not None:
        return pushed
    data = artifact.to_bytes()
    custom = {"name": pushed.name, "model_id": pushed.model_id.hex(), "card": card.document()}
    serial = repository.put_forward(data, custom, now_s)
    row = {
        **card.document(),
        "model_id": pushed.model_id,
        "dataset_sha256": bytes.fromhex(card.dataset_sha256) or None,
        "metrics": json.dumps(dict(card.metrics), sort_keys=True),
        "serial": serial,
    }
    connection.execute(sa.insert(model_card).values(**row))
    subject = f"{pushed.name} {pushed.model_id.hex()}"
    said = {"sha256": hashlib.sha256(data).hexdigest(), "serial": serial, "card": card.document()}
    audit.append(connection, "model", subject, said, actor=actor, time_s=now_s)
    if card.dataset_sha256:
        audit.append(connection, "dataset", card.dataset_sha256, {"model": subject}, actor=actor, time_s=now_s)
    if card.metrics:
        audit.append(connection, "metric", subject, dict(card.metrics), actor=actor, time_s=now_s)
    return pushed


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
