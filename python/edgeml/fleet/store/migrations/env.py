# SPDX-License-Identifier: Apache-2.0
"""Run by Alembic: migrates inside the transaction that edgeml.fleet.store.engine has begun."""

from alembic import context

from edgeml.fleet.store import release_tables  # noqa: F401 - its tables are in the metadata too
from edgeml.fleet.store.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
