# SPDX-License-Identifier: Apache-2.0
"""Tables of releases: the audit log, the cards of the models, rollouts and what they ask of devices.

Times are unix seconds (`_s`). JSON is canonical (edgeml.artifact.canonical_json).
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from edgeml.fleet.store.tables import metadata

# Rows are added and never changed: triggers of the migration refuse UPDATE and DELETE.
audit: Final = sa.Table(
    "audit",
    metadata,
    sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),  # from 1, without a gap
    sa.Column("time_s", sa.BigInteger, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),  # who did it: operator:NAME, fleet, device:TENANT/NAME
    sa.Column("kind", sa.Text, nullable=False),  # dataset, model, metric, deployment, budget or operator
    sa.Column("subject", sa.Text, nullable=False),  # what it was done to
    sa.Column("detail", sa.Text, nullable=False),  # JSON
    sa.Column("hash", sa.LargeBinary, nullable=False),  # covers this row and all before it
)

# One row: where the log ends. It is locked by whoever appends.
audit_head: Final = sa.Table(
    "audit_head",
    metadata,
    sa.Column("id", sa.SmallInteger, primary_key=True, autoincrement=False),
    sa.Column("number", sa.BigInteger, nullable=False),
    sa.Column("hash", sa.LargeBinary, nullable=False),
)

model_card: Final = sa.Table(
    "model_card",
    metadata,
    sa.Column("model_id", sa.LargeBinary, sa.ForeignKey("model.model_id"), primary_key=True),
    sa.Column("owner", sa.Text, nullable=False),
    sa.Column("risk_tier", sa.Text, nullable=False),
    sa.Column("playbook", sa.Text, nullable=False),
    sa.Column("business_metric", sa.Text, nullable=False),
    sa.Column("dataset_sha256", sa.LargeBinary),
    sa.Column("metrics", sa.Text, nullable=False),  # JSON object of numbers
    sa.Column("serial", sa.BigInteger, nullable=False),  # version of the signed targets that brought it in
)
