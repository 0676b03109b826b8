# SPDX-License-Identifier: Apache-2.0
"""How the tables came to be, one file per change, run by Alembic when a store is opened."""
