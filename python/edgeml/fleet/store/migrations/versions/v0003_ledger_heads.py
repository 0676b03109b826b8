# SPDX-License-Identifier: Apache-2.0
"""The newest ledger entry of each epoch, and windows that devices have lost."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add what tells copies apart and lets the books pass over what is lost."""
    op.add_column("epoch", sa.Column("ledger_entries", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("epoch", sa.Column("ledger_hash", sa.LargeBinary(), nullable=False, server_default=""))
    op.add_column("epoch", sa.Column("lost", sa.BigInteger(), nullable=False, server_default="0"))
    op.create_table(
        "lost_window",
        sa.Column("epoch_id", sa.BigInteger(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("merged", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["epoch_id"], ["epoch.id"]),
        sa.PrimaryKeyConstraint("epoch_id", "seq"),
    )
