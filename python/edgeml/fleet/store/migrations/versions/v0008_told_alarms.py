# SPDX-License-Identifier: Apache-2.0
"""What a webhook has been told of each alarm; alarms of before are not told of again."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Add the column."""
    op.add_column("alarm", sa.Column("told", sa.SmallInteger(), nullable=False, server_default="0"))
    op.execute("UPDATE alarm SET told = 2")
