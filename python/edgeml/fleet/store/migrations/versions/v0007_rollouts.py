# SPDX-License-Identifier: Apache-2.0
"""Rollouts: their devices and gates, what is wanted of devices, what ran on them since when."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "rollout",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("model_id", sa.LargeBinary(), nullable=False),
        sa.Column("fallback_id", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("wave", sa.Integer(), nullable=False),
        sa.Column("policy", sa.Text(), nullable=False),
        sa.Column("started_s", sa.BigInteger(), nullable=False),
        sa.Column("wave_started_s", sa.BigInteger(), nullable=False),
        sa.Column("ended_s", sa.BigInteger()),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("judged_upto_s", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["model_id"], ["model.model_id"]),
        sa.ForeignKeyConstraint(["fallback_id"], ["model.model_id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "rollout_device",
        sa.Column("rollout_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("device_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("slice", sa.Text(), nullable=False),
        sa.Column("wave", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("changed_s", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["rollout_id"], ["rollout.id"]),
        sa.ForeignKeyConstraint(["device_id"], ["device.id"]),
        sa.PrimaryKeyConstraint("rollout_id", "device_id"),
    )
    op.create_table(
        "rollout_gate",
        sa.Column("rollout_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("wave", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("slice", sa.Text(), nullable=False),
        sa.Column("gate", sa.Text(), nullable=False),
        sa.Column("log_e", sa.Double(), nullable=False),
        sa.Column("log_limit", sa.Double(), nullable=False),
        sa.Column("observed", sa.Double(), nullable=False),
        sa.Column("baseline", sa.Double(), nullable=False),
        sa.Column("excess", sa.Double(), nullable=False),
        sa.Column("samples", sa.Double(), nullable=False),
        sa.Column("time_s", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["rollout_id"], ["rollout.id"]),
        sa.PrimaryKeyConstraint("rollout_id", "wave", "slice", "gate"),
    )
    op.create_table(
        "business_result",
        sa.Column("rollout_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("is_candidate", sa.Boolean(), nullable=False),
        sa.Column("good", sa.BigInteger(), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["rollout_id"], ["rollout.id"]),
        sa.PrimaryKeyConstraint("rollout_id", "is_candidate"),
    )
    op.create_table(
        "want",
        sa.Column("device_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("rollout_id", sa.BigInteger(), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.Column("made_s", sa.BigInteger(), nullable=False),
        sa.Column("is_sent", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["rollout_id"], ["rollout.id"]),
        sa.ForeignKeyConstraint(["device_id"], ["device.id"]),
        sa.PrimaryKeyConstraint("device_id"),
    )
    op.create_table(
        "running",
        sa.Column("device_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("since_s", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("model_id", sa.LargeBinary(), nullable=False),
        sa.Column("model_name", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["device_id"], ["device.id"]),
        sa.PrimaryKeyConstraint("device_id", "since_s"),
    )
