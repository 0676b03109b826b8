# SPDX-License-Identifier: Apache-2.0
"""Roll-ups of days, the worst drift of each period, and an index for refused windows: a large fleet on a page."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create the tables, and fill the worst drift from the drift of each feature."""
    op.create_table(
        "rollup_day",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("device_id", sa.BigInteger(), nullable=False),
        sa.Column("model_id", sa.LargeBinary(), nullable=False),
        sa.Column("schema_id", sa.LargeBinary(), nullable=False),
        sa.Column("period_start_s", sa.BigInteger(), nullable=False),
        sa.Column("noise_numerator", sa.BigInteger(), nullable=False),
        sa.Column("noise_denominator", sa.BigInteger(), nullable=False),
        sa.Column("windows", sa.BigInteger(), nullable=False),
        sa.Column("releases", sa.BigInteger(), nullable=False),
        sa.Column("counts", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["device_id"], ["device.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint(
            "device_id",
            "period_start_s",
            "model_id",
            "schema_id",
            "noise_numerator",
            "noise_denominator",
            name="rollup_day_once",
        ),
    )
    op.create_table(
        "drift_period",
        sa.Column("device_id", sa.BigInteger(), nullable=False),
        sa.Column("period_start_s", sa.BigInteger(), nullable=False),
        sa.Column("samples", sa.Double(), nullable=False),
        sa.Column("p_value_min", sa.Double(), nullable=False),
        sa.Column("psi_max", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["device_id"], ["device.id"]),
        sa.PrimaryKeyConstraint("device_id", "period_start_s"),
    )
    op.execute(
        "INSERT INTO drift_period SELECT device_id, period_start_s, max(samples), min(p_value), max(psi) "
        "FROM drift GROUP BY device_id, period_start_s"
    )
    op.create_index("drift_period_worst", "drift_period", ["period_start_s", "psi_max"])
    op.create_index("rollup_age", "rollup", ["period_start_s"])
    op.create_index(
        "window_refused",
        "window",
        ["schema_id"],
        sqlite_where=sa.text("state = 2"),
        postgresql_where=sa.text("state = 2"),
    )
