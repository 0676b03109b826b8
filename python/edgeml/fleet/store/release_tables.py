# SPDX-License-Identifier: Apache-2.0
"""Tables of releases: the audit log, the cards of the models, rollouts and what they ask of devices.

Times are unix seconds (`_s`). JSON is canonical (edgeml.artifact.canonical_json).
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from edgeml.fleet.store.tables import ROW_ID, metadata

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

rollout: Final = sa.Table(
    "rollout",
    metadata,
    sa.Column("id", ROW_ID, primary_key=True),
    sa.Column("model_id", sa.LargeBinary, sa.ForeignKey("model.model_id"), nullable=False),
    sa.Column(
        "fallback_id", sa.LargeBinary, sa.ForeignKey("model.model_id"), nullable=False
    ),  # where devices go back to
    sa.Column("state", sa.Text, nullable=False),  # of edgeml.fleet.rollout.machine
    sa.Column("wave", sa.Integer, nullable=False),  # position in the policy's waves
    sa.Column("policy", sa.Text, nullable=False),  # JSON
    sa.Column("started_s", sa.BigInteger, nullable=False),
    sa.Column("wave_started_s", sa.BigInteger, nullable=False),
    sa.Column("ended_s", sa.BigInteger),
    sa.Column("reason", sa.Text, nullable=False),  # why it stopped, "" where it did not
    sa.Column("judged_upto_s", sa.BigInteger, nullable=False),  # periods that begin before it are in the evidence
)

rollout_device: Final = sa.Table(
    "rollout_device",
    metadata,
    sa.Column("rollout_id", sa.BigInteger, sa.ForeignKey("rollout.id"), primary_key=True, autoincrement=False),
    sa.Column("device_id", sa.BigInteger, sa.ForeignKey("device.id"), primary_key=True, autoincrement=False),
    sa.Column("slice", sa.Text, nullable=False),  # its tenant and device class
    sa.Column("wave", sa.Integer, nullable=False),
    sa.Column("state", sa.Text, nullable=False),  # wanted, confirmed, failed, silent, going back, back
    sa.Column("changed_s", sa.BigInteger, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
)

# What each gate knows of each slice in each wave.
rollout_gate: Final = sa.Table(
    "rollout_gate",
    metadata,
    sa.Column("rollout_id", sa.BigInteger, sa.ForeignKey("rollout.id"), primary_key=True, autoincrement=False),
    sa.Column("wave", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("slice", sa.Text, primary_key=True),
    sa.Column("gate", sa.Text, primary_key=True),
    sa.Column("log_e", sa.Double, nullable=False),  # natural logarithm of the evidence that the model is worse
    sa.Column("log_limit", sa.Double, nullable=False),  # with which it stops the rollout
    sa.Column("observed", sa.Double, nullable=False),  # of the newest period
    sa.Column("baseline", sa.Double, nullable=False),
    sa.Column("excess", sa.Double, nullable=False),  # how much above the baseline is allowed
    sa.Column("samples", sa.Double, nullable=False),  # with the model, in all periods of the wave
    sa.Column("time_s", sa.BigInteger, nullable=False),
)

# Results in the terms of the business metric, as somebody counts them for a rollout.
business_result: Final = sa.Table(
    "business_result",
    metadata,
    sa.Column("rollout_id", sa.BigInteger, sa.ForeignKey("rollout.id"), primary_key=True, autoincrement=False),
    sa.Column("is_candidate", sa.Boolean, primary_key=True),
    sa.Column("good", sa.BigInteger, nullable=False),
    sa.Column("total", sa.BigInteger, nullable=False),
)

# The newest want of each device, until it is sent.
want: Final = sa.Table(
    "want",
    metadata,
    sa.Column("device_id", sa.BigInteger, sa.ForeignKey("device.id"), primary_key=True, autoincrement=False),
    sa.Column("rollout_id", sa.BigInteger, sa.ForeignKey("rollout.id"), nullable=False),
    sa.Column("payload", sa.LargeBinary, nullable=False),
    sa.Column("made_s", sa.BigInteger, nullable=False),
    sa.Column("is_sent", sa.Boolean, nullable=False),
)

# What ran on a device since when, by its births; a row where it changed.
running: Final = sa.Table(
    "running",
    metadata,
    sa.Column("device_id", sa.BigInteger, sa.ForeignKey("device.id"), primary_key=True, autoincrement=False),
    sa.Column("since_s", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("model_id", sa.LargeBinary, nullable=False),
    sa.Column("model_name", sa.Text, nullable=False),
)
