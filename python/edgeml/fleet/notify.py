# SPDX-License-Identifier: Apache-2.0
"""Tells a webhook of alarms that opened and closed: at least once, in order, again until it takes them."""

from __future__ import annotations

import json
import logging
from typing import Any, Final
from urllib.request import Request, urlopen

import sqlalchemy as sa

from edgeml.fleet.store import tables as t
from edgeml.fleet.store.engine import reading, writing

log: Final = logging.getLogger(__name__)

TIMEOUT_S: Final = 10
ALARMS_PER_ROUND: Final = 50


def tell(engine: sa.Engine, webhook: str) -> int:
    """POST what is not told yet as JSON, oldest first; gives how many were taken. One that is refused ends the round."""
    with reading(engine) as connection:
        due = connection.execute(_due()).all()
    taken = 0
    for alarm in due:
        request = Request(  # noqa: S310  fleet.toml names it, http and https only
            webhook, data=json.dumps(_document(alarm)).encode(), headers={"content-type": "application/json"}
        )
        try:
            with urlopen(request, timeout=TIMEOUT_S):  # noqa: S310
                pass
        except OSError as error:  # URLError, HTTPError and timeouts are
            log.warning("webhook %s does not take alarm %s: %s; trying again", webhook, alarm.rule, error)
            break
        told = t.TOLD_OPENED if alarm.told == t.TOLD_NOTHING else t.TOLD_CLOSED
        with writing(engine) as connection:
            connection.execute(sa.update(t.alarm).where(t.alarm.c.id == alarm.id).values(told=told))
        taken += 1
    return taken


def _due() -> sa.Select[Any]:
    a = t.alarm.c
    is_due = (a.told == t.TOLD_NOTHING) | ((a.told == t.TOLD_OPENED) & a.closed_s.is_not(None))
    query = sa.select(t.alarm, t.device.c.tenant, t.device.c.name).join(t.device, t.device.c.id == a.device_id)
    return query.where(is_due).order_by(a.id).limit(ALARMS_PER_ROUND)


def _document(alarm: sa.Row[Any]) -> dict[str, Any]:
    is_open = alarm.told == t.TOLD_NOTHING
    return {
        "state": "open" if is_open else "closed",
        "rule": alarm.rule,
        "tenant": alarm.tenant,
        "device": alarm.name,
        "since_s": alarm.since_s,
        "opened_s": alarm.opened_s,
        "closed_s": None if is_open else alarm.closed_s,
        "owner": alarm.owner,
        "playbook": alarm.playbook,
        "findings": json.loads(alarm.findings),
    }
