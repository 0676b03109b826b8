# SPDX-License-Identifier: Apache-2.0
"""A monitor whose model the fleet may replace: slots, repository and updater around it, put together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edgeml.device.update.repository import Repository
from edgeml.device.update.slots import Slots
from edgeml.device.update.updater import Updater, open_active_session
from edgeml.session import InferenceSession

if TYPE_CHECKING:
    from edgeml.device.monitor import Monitor

SLOTS_FOLDER: Final = "slots"
REPOSITORY_FOLDER: Final = "update"


@dataclass(frozen=True, kw_only=True)
class UpdateSource:
    """Where models come from: the address of the update repository, its first root, and the token of the devices."""

    url: str
    root: bytes
    token: str = ""


@contextmanager
def updating_monitor(  # noqa: PLR0913 - all but the first by name
    make_monitor: Callable[[InferenceSession, Callable[[bytes], None]], Monitor],
    *,
    factory: Path,
    state: Path,
    source: UpdateSource,
    threads: int | None = None,
    isa: str | None = None,
) -> Iterator[Monitor]:
    """Run the active model of the slots in `state`; at the first start that is `factory`.

    make_monitor: makes the monitor of a session; the second argument is its `on_want`.

    Raises:
        EdgemlError: as Monitor, Slots and InferenceSession do.
    """
    load = partial(InferenceSession, threads=threads, isa=isa)
    slots = Slots(state / SLOTS_FOLDER, factory=factory)
    session, went_back = open_active_session(slots, load)
    early: list[bytes] = []  # wants that come before the updater is there
    take: list[Callable[[bytes], None]] = [early.append]
    monitor = make_monitor(session, lambda payload: take[0](payload))  # noqa: PLW0108 - take[0] changes
    repository = Repository(source.url, root=source.root, folder=state / REPOSITORY_FOLDER, token=source.token)
    updater = Updater(slots, repository, monitor, session, load=load)
    if went_back:
        monitor.tell("rollback", went_back)
    monitor.on_inference = updater.saw
    take[0] = updater.want
    for payload in early:
        updater.want(payload)
    updater.start()
    try:
        yield monitor
    finally:
        updater.stop()
        monitor.close()
