# SPDX-License-Identifier: Apache-2.0
"""Public keys of the devices."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Create the table of keys; devices that are known already have none until they are provisioned."""
    op.create_table(
        "device_key",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("public_key", sa.LargeBinary(), nullable=False),
        sa.Column("added_s", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "name", "public_key"),
    )
