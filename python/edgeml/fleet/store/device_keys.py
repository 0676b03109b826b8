# SPDX-License-Identifier: Apache-2.0
"""Public keys of the devices: what was provisioned is listened to, everything else goes to quarantine."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Final

import sqlalchemy as sa

from edgeml.fleet.store import tables as t
from edgeml.fleet.store.engine import reading
from edgeml.fleet.store.statements import insert_new

Name = tuple[str, str]  # tenant, device

CACHE_S: Final = 10.0  # how long a collector goes by what it knows of a device
CACHE_DEVICES_MAX: Final = 500_000  # names come from outside
NAMES_PER_QUERY: Final = 400


def add_keys(connection: sa.Connection, keys: Mapping[Name, bytes], *, now_s: int) -> None:
    """Make keys known, beside those that a device has: it may change its key without a gap."""
    rows = [
        {"tenant": tenant, "name": name, "public_key": public, "added_s": now_s}
        for (tenant, name), public in sorted(keys.items())
    ]
    insert_new(connection, t.device_key, rows)


def remove_other_keys(connection: sa.Connection, keys: Mapping[Name, bytes]) -> int:
    """Forget all keys of these devices but the given ones; gives how many went."""
    removed = 0
    for (tenant, name), public in keys.items():
        of_device = sa.and_(t.device_key.c.tenant == tenant, t.device_key.c.name == name)
        delete = sa.delete(t.device_key).where(of_device, t.device_key.c.public_key != public)
        removed += connection.execute(delete).rowcount
    return removed


def keys_of(connection: sa.Connection, names: Iterable[Name]) -> dict[Name, tuple[bytes, ...]]:
    """Public keys of each of these devices, newest first; () where there are none."""
    found: dict[Name, tuple[bytes, ...]] = dict.fromkeys(sorted(set(names)), ())
    wanted = list(found)
    for begin in range(0, len(wanted), NAMES_PER_QUERY):
        query = sa.select(t.device_key).order_by(t.device_key.c.added_s.desc(), t.device_key.c.public_key)
        part = wanted[begin : begin + NAMES_PER_QUERY]
        for row in connection.execute(query.where(sa.tuple_(t.device_key.c.tenant, t.device_key.c.name).in_(part))):
            found[row.tenant, row.name] += (row.public_key,)
    return found


class KeyCache:
    """Keys for a collector, asked from the store in batches and at most once in CACHE_S a device."""

    def __init__(self, engine: sa.Engine, clock: Callable[[], float] = time.monotonic) -> None:
        self._engine = engine
        self._clock = clock
        self._known: dict[Name, tuple[float, tuple[bytes, ...]]] = {}

    def fetch(self, names: Iterable[Name]) -> None:
        """Ask for the devices that are not known well enough, in one transaction."""
        now = self._clock()
        unknown = [name for name in set(names) if name not in self._known or now - self._known[name][0] >= CACHE_S]
        if not unknown:
            return
        if len(self._known) + len(unknown) > CACHE_DEVICES_MAX:
            self._known.clear()
        with reading(self._engine) as connection:
            for name, publics in keys_of(connection, unknown).items():
                self._known[name] = (now, publics)

    def __call__(self, tenant: str, device: str) -> tuple[bytes, ...]:
        """Public keys of a device that was fetched."""
        return self._known.get((tenant, device), (0.0, ()))[1]
