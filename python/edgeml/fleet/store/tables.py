# SPDX-License-Identifier: Apache-2.0
"""Tables of the store. Times are unix seconds (`_s`), epsilon is in micro-epsilon, vectors are little-endian int64.

Nothing here is particular to SQLite. A change needs a migration beside the others; a test compares the two.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

# INTEGER PRIMARY KEY is SQLite's rowid; a rowid table takes rows in far faster than one ordered by a long key.
ROW_ID: Final = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
WAITING, ROLLED_UP, REFUSED = range(3)  # window.state: schema unknown; in the roll-up; not as long as its schema says
TOLD_NOTHING, TOLD_OPENED, TOLD_CLOSED = range(3)  # alarm.told

metadata: Final = sa.MetaData()

device: Final = sa.Table(
    "device",
    metadata,
    sa.Column("id", ROW_ID, primary_key=True),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("first_seen_s", sa.BigInteger, nullable=False),
    sa.Column("last_seen_s", sa.BigInteger, nullable=False),
    sa.Column("online", sa.Boolean, nullable=False),
    sa.Column("edgeml_version", sa.Text),  # this and the next four: of the last birth
    sa.Column("isa", sa.Text),
    sa.Column("model_id", sa.LargeBinary),
    sa.Column("schema_id", sa.LargeBinary),
    sa.Column("model_name", sa.Text),
    sa.Column("epsilon_spent_micro", sa.BigInteger, nullable=False),  # this and the next: of the last report
    sa.Column("epsilon_budget_micro", sa.BigInteger, nullable=False),
    sa.UniqueConstraint("tenant", "name", name="device_name"),
)

# Whom the fleet listens to. A device that changes its key has two for a while.
device_key: Final = sa.Table(
    "device_key",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("public_key", sa.LargeBinary, primary_key=True),  # Ed25519, 32 bytes
    sa.Column("added_s", sa.BigInteger, nullable=False),
)

epoch: Final = sa.Table(
    "epoch",
    metadata,
    sa.Column("id", ROW_ID, primary_key=True),
    sa.Column("device_id", sa.BigInteger, sa.ForeignKey("device.id"), nullable=False),
    sa.Column("epoch", sa.LargeBinary, nullable=False),
    sa.Column("produced", sa.BigInteger, nullable=False),
    sa.Column("spool_from", sa.BigInteger, nullable=False),
    sa.Column("stored", sa.BigInteger, nullable=False),  # windows of this epoch in the store
    sa.Column("contiguous_upto", sa.BigInteger, nullable=False),  # every seq up to here is stored or lost
    sa.Column(
        "ledger_entries", sa.BigInteger, nullable=False, server_default="0"
    ),  # this and the next: newest head told
    sa.Column("ledger_hash", sa.LargeBinary, nullable=False, server_default=""),
    sa.Column("lost", sa.BigInteger, nullable=False, server_default="0"),  # windows in lost_window
    sa.UniqueConstraint("device_id", "epoch", name="epoch_of_device"),
)

# Windows seq - merged + 1 up to seq that the device made and its medium destroyed.
lost_window: Final = sa.Table(
    "lost_window",
    metadata,
    sa.Column("epoch_id", sa.BigInteger, sa.ForeignKey("epoch.id"), primary_key=True),
    sa.Column("seq", sa.BigInteger, primary_key=True),
    sa.Column("merged", sa.BigInteger, nullable=False),
)

window: Final = sa.Table(
    "window",
    metadata,
    sa.Column("id", ROW_ID, primary_key=True),
    sa.Column("epoch_id", sa.BigInteger, sa.ForeignKey("epoch.id"), nullable=False),
    sa.Column("seq", sa.BigInteger, nullable=False),
    sa.Column("device_id", sa.BigInteger, nullable=False),  # of the epoch; here so that a roll-up needs no join
    sa.Column("model_id", sa.LargeBinary, nullable=False),
    sa.Column("schema_id", sa.LargeBinary, nullable=False),
    sa.Column("start_s", sa.BigInteger, nullable=False),
    sa.Column("end_s", sa.BigInteger, nullable=False),
    sa.Column("packed_counts", sa.LargeBinary, nullable=False),  # varints as they came (wire.md, section 4)
    sa.Column("noise_numerator", sa.BigInteger, nullable=False),
    sa.Column("noise_denominator", sa.BigInteger, nullable=False),
    sa.Column("merged", sa.BigInteger, nullable=False),
    sa.Column("epsilon_micro", sa.BigInteger, nullable=False),
    sa.Column("received_s", sa.BigInteger, nullable=False),
    sa.Column("state", sa.SmallInteger, nullable=False),
    sa.UniqueConstraint("epoch_id", "seq", name="window_once"),
)
sa.Index(
    "window_waiting",
    window.c.schema_id,
    sqlite_where=window.c.state == WAITING,
    postgresql_where=window.c.state == WAITING,
)
sa.Index(
    "window_refused",
    window.c.schema_id,
    sqlite_where=window.c.state == REFUSED,
    postgresql_where=window.c.state == REFUSED,
)

# Sum of all windows of one device, model and noise scale that start in one period.
rollup: Final = sa.Table(
    "rollup",
    metadata,
    sa.Column("id", ROW_ID, primary_key=True),
    sa.Column("device_id", sa.BigInteger, sa.ForeignKey("device.id"), nullable=False),
    sa.Column("model_id", sa.LargeBinary, nullable=False),
    sa.Column("schema_id", sa.LargeBinary, nullable=False),
    sa.Column("period_start_s", sa.BigInteger, nullable=False),
    sa.Column("noise_numerator", sa.BigInteger, nullable=False),
    sa.Column("noise_denominator", sa.BigInteger, nullable=False),
    sa.Column("windows", sa.BigInteger, nullable=False),
    sa.Column("releases", sa.BigInteger, nullable=False),  # sum of `merged`: each brought its own noise
    sa.Column("counts", sa.LargeBinary, nullable=False),
    sa.Column("tested", sa.Boolean, nullable=False),  # the drift rows of this period know this sum
    sa.UniqueConstraint(
        *("device_id", "period_start_s", "model_id", "schema_id", "noise_numerator", "noise_denominator"),
        name="rollup_once",
    ),
)
sa.Index("rollup_age", rollup.c.period_start_s)
sa.Index(
    "rollup_untested",
    rollup.c.tested,
    sqlite_where=sa.text("NOT tested"),
    postgresql_where=sa.text("NOT tested"),
)

# Of days that are long over, the roll-ups of a day added together: what is kept for ever.
rollup_day: Final = sa.Table(
    "rollup_day",
    metadata,
    sa.Column("id", ROW_ID, primary_key=True),
    sa.Column("device_id", sa.BigInteger, sa.ForeignKey("device.id"), nullable=False),
    sa.Column("model_id", sa.LargeBinary, nullable=False),
    sa.Column("schema_id", sa.LargeBinary, nullable=False),
    sa.Column("period_start_s", sa.BigInteger, nullable=False),  # of the day
    sa.Column("noise_numerator", sa.BigInteger, nullable=False),
    sa.Column("noise_denominator", sa.BigInteger, nullable=False),
    sa.Column("windows", sa.BigInteger, nullable=False),
    sa.Column("releases", sa.BigInteger, nullable=False),
    sa.Column("counts", sa.LargeBinary, nullable=False),
    sa.UniqueConstraint(
        *("device_id", "period_start_s", "model_id", "schema_id", "noise_numerator", "noise_denominator"),
        name="rollup_day_once",
    ),
)

# The worst of all features of one device in one period, so that a page about many devices reads few rows.
drift_period: Final = sa.Table(
    "drift_period",
    metadata,
    sa.Column("device_id", sa.BigInteger, sa.ForeignKey("device.id"), primary_key=True),
    sa.Column("period_start_s", sa.BigInteger, primary_key=True),
    sa.Column("samples", sa.Double, nullable=False),
    sa.Column("p_value_min", sa.Double, nullable=False),
    sa.Column("psi_max", sa.Double, nullable=False),
)
sa.Index("drift_period_worst", drift_period.c.period_start_s, drift_period.c.psi_max)

drift: Final = sa.Table(
    "drift",
    metadata,
    sa.Column("device_id", sa.BigInteger, sa.ForeignKey("device.id"), primary_key=True),
    sa.Column("period_start_s", sa.BigInteger, primary_key=True),
    sa.Column("model_id", sa.LargeBinary, primary_key=True),
    sa.Column("schema_id", sa.LargeBinary, primary_key=True),
    sa.Column("feature", sa.Integer, primary_key=True),  # position in the schema
    sa.Column("samples", sa.Double, nullable=False),
    sa.Column("statistic", sa.Double, nullable=False),
    sa.Column("degrees", sa.Integer, nullable=False),
    sa.Column("p_value", sa.Double, nullable=False),
    sa.Column("psi", sa.Double, nullable=False),
    sa.Column("js", sa.Double, nullable=False),
)

telemetry_schema: Final = sa.Table(
    "telemetry_schema",
    metadata,
    sa.Column("schema_id", sa.LargeBinary, primary_key=True),
    sa.Column("slots", sa.Integer, nullable=False),  # length of a window vector
    sa.Column("document", sa.LargeBinary, nullable=False),
)

model: Final = sa.Table(
    "model",
    metadata,
    sa.Column("model_id", sa.LargeBinary, primary_key=True),
    sa.Column("sha256", sa.LargeBinary, nullable=False),
    sa.Column("bytes", sa.BigInteger, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("metadata", sa.Text, nullable=False),  # JSON as in the artifact
    sa.Column("schema_id", sa.LargeBinary, sa.ForeignKey("telemetry_schema.schema_id")),
    sa.Column("pushed_s", sa.BigInteger, nullable=False),
)

event: Final = sa.Table(
    "event",
    metadata,
    sa.Column("id", ROW_ID, primary_key=True),
    sa.Column("device_id", sa.BigInteger, sa.ForeignKey("device.id"), nullable=False),
    sa.Column("digest", sa.LargeBinary, nullable=False),  # of the message: a repeat is the same event
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("time_s", sa.BigInteger, nullable=False),
    sa.Column("detail", sa.Text, nullable=False),
    sa.UniqueConstraint("device_id", "digest", name="event_once"),
)

alarm: Final = sa.Table(
    "alarm",
    metadata,
    sa.Column("id", ROW_ID, primary_key=True),
    sa.Column("rule", sa.Text, nullable=False),
    sa.Column("device_id", sa.BigInteger, sa.ForeignKey("device.id"), nullable=False),
    sa.Column("since_s", sa.BigInteger, nullable=False),  # start of the first period that broke the rule
    sa.Column("opened_s", sa.BigInteger, nullable=False),
    sa.Column("closed_s", sa.BigInteger),
    sa.Column("findings", sa.Text, nullable=False),  # JSON: features, worst first
    sa.Column("owner", sa.Text, nullable=False),
    sa.Column("playbook", sa.Text, nullable=False),
    sa.Column("told", sa.SmallInteger, nullable=False, server_default="0"),  # to the webhook: TOLD_...
)
sa.Index(
    "alarm_open_once",
    alarm.c.rule,
    alarm.c.device_id,
    unique=True,
    sqlite_where=alarm.c.closed_s.is_(None),
    postgresql_where=alarm.c.closed_s.is_(None),
)

quarantine: Final = sa.Table(
    "quarantine",
    metadata,
    sa.Column("id", ROW_ID, primary_key=True),
    sa.Column("received_s", sa.BigInteger, nullable=False),
    sa.Column("topic", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("bytes", sa.BigInteger, nullable=False),  # of the whole payload
    sa.Column("payload", sa.LargeBinary, nullable=False),  # its beginning
)

# What the tables above cannot tell any more: rows that were refused, trimmed or repeated.
counter: Final = sa.Table(
    "counter",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("value", sa.BigInteger, nullable=False),
)

# Who may use dashboard and API. Rows stay when a token is revoked: a name means one token for ever.
access_token: Final = sa.Table(
    "access_token",
    metadata,
    sa.Column("id", ROW_ID, primary_key=True),
    sa.Column("name", sa.Text, nullable=False, unique=True),
    sa.Column("role", sa.Text, nullable=False),
    sa.Column("sha256", sa.LargeBinary, nullable=False, unique=True),  # of the secret
    sa.Column("created_s", sa.BigInteger, nullable=False),
    sa.Column("revoked_s", sa.BigInteger),
)
