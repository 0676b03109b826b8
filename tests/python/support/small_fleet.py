# SPDX-License-Identifier: Apache-2.0
"""A store with a small fleet in it: one steady device, one that drifts and has an alarm, one that lost windows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import sqlalchemy as sa

from edgeml.fleet.alerts import Rule
from edgeml.fleet.evaluation import evaluate
from edgeml.fleet.received import Received, Rejected
from edgeml.fleet.store import tables as t
from edgeml.fleet.store.engine import open_store, writing
from edgeml.fleet.store.intake import take_in
from edgeml.telemetry.messages import Birth, Event
from support.reports import HEAD, MODEL_ID, NOON_S, normal_counts, normal_schema, received, report, window

HOUR_S: Final = 3600
HOURS: Final = 6
NOW_S: Final = NOON_S + HOURS * HOUR_S
SCHEMA: Final = normal_schema(features=3)
RULE: Final = Rule(name="inputs", owner="vision team", playbook="docs/playbook.md", open_after=2, close_after=2)
HOSTILE_TEXT: Final = '<script>alert(1)</script>"&'


def small_fleet(path: Path) -> sa.Engine:
    """Make the store at `path`: every number in it is known."""
    engine = open_store(f"sqlite:///{path}")
    with writing(engine) as connection:
        schema_row = {"schema_id": SCHEMA.id, "slots": SCHEMA.slot_count, "document": SCHEMA.to_bytes()}
        connection.execute(sa.insert(t.telemetry_schema), schema_row)
        model_row = {
            "model_id": MODEL_ID,
            "sha256": bytes(32),
            "bytes": 80_000,
            "name": f"digits {HOSTILE_TEXT}",
            "metadata": "{}",
            "schema_id": SCHEMA.id,
            "pushed_s": NOON_S,
        }
        connection.execute(sa.insert(t.model), model_row)
        take_in(connection, _messages(), now_s=NOW_S, period_s=HOUR_S)
    evaluate(engine, [RULE], period_s=HOUR_S, now_s=NOW_S)
    return engine


def _messages() -> list[Received | Rejected]:
    rng = np.random.default_rng(9)
    messages: list[Received | Rejected] = [Rejected(topic="x", payload=b"y", reason="no topic of ours")]
    for device, shift in (("steady", 0.0), ("drifting", 0.7), ("lossy", 0.0)):
        epoch = device.encode().ljust(8, b"-")
        birth = Birth(
            epoch=epoch,
            edgeml_version="0.1.0",
            isa="neondot",
            model_id=MODEL_ID,
            schema_id=SCHEMA.id,
            model_name=HOSTILE_TEXT,
            time=NOON_S,
            ledger_head=HEAD,
        )
        messages.append(received(device, birth, channel="birth"))
        for hour in range(HOURS):
            moved = shift if hour >= 2 else 0.0
            seqs = range(12 * hour + 1, 12 * hour + 13)
            windows = [window(seq, normal_counts(SCHEMA, rng, shift=moved), SCHEMA.id) for seq in seqs]
            if device == "lossy" and hour == 3:
                windows = windows[:4] + windows[9:]  # five are lost, and the device says later that it deleted them
            one = report(epoch, windows, produced=12 * hour + 14, spool_from=windows[0].seq)
            messages.append(received(device, replace(one, epsilon_spent_micro=2_500_000)))
    event = Event(epoch=b"steady--", kind="budget_spent", time=NOON_S, detail=HOSTILE_TEXT)
    messages.append(received("steady", event, channel="evt"))
    return messages
