# SPDX-License-Identifier: Apache-2.0
"""The database of the fleet: tables, migrations, and the one transaction that takes in a batch of messages."""
