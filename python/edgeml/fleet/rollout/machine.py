# SPDX-License-Identifier: Apache-2.0
"""The state machine of a rollout: a table (state, event) -> (state, actions), without I/O.

A gate that fails leads back from every state in which devices may run the model, whether a person looks or not. What has no
row changes nothing.
"""

from __future__ import annotations

from enum import Enum
from types import MappingProxyType
from typing import Final, NamedTuple


class State(str, Enum):
    """Where a rollout stands."""

    RUNNING = "running"  # the devices of the wave get the model, the gates look at it
    PAUSED = "paused"  # by a person: no further wave begins
    FROZEN = "frozen"  # by the switch for all rollouts: no further wave begins
    ROLLING_BACK = "rolling back"  # devices are told to go back
    ROLLED_BACK = "rolled back"
    DONE = "done"


class Event(str, Enum):
    """What can happen to a rollout."""

    WAVE_PASSED = "wave passed"
    LAST_WAVE_PASSED = "last wave passed"
    GATE_FAILED = "gate failed"
    PAUSE = "pause"
    RESUME = "resume"
    FREEZE = "freeze"
    THAW = "thaw"
    ABORT = "abort"  # by a person, also after the end: the fleet goes back
    ALL_BACK = "all back"


class Action(str, Enum):
    """What is to be done."""

    NEXT_WAVE = "next wave"
    SEND_BACK = "send back"


class Step(NamedTuple):
    """The next state, and what is to be done on the way."""

    state: State
    actions: tuple[Action, ...] = ()


_BACK: Final = Step(State.ROLLING_BACK, (Action.SEND_BACK,))

TABLE: Final = MappingProxyType(
    {
        (State.RUNNING, Event.WAVE_PASSED): Step(State.RUNNING, (Action.NEXT_WAVE,)),
        (State.RUNNING, Event.LAST_WAVE_PASSED): Step(State.DONE),
        (State.RUNNING, Event.GATE_FAILED): _BACK,
        (State.RUNNING, Event.ABORT): _BACK,
        (State.RUNNING, Event.PAUSE): Step(State.PAUSED),
        (State.RUNNING, Event.FREEZE): Step(State.FROZEN),
        (State.PAUSED, Event.RESUME): Step(State.RUNNING),
        (State.PAUSED, Event.GATE_FAILED): _BACK,
        (State.PAUSED, Event.ABORT): _BACK,
        (State.FROZEN, Event.THAW): Step(State.RUNNING),
        (State.FROZEN, Event.PAUSE): Step(State.PAUSED),
        (State.FROZEN, Event.GATE_FAILED): _BACK,
        (State.FROZEN, Event.ABORT): _BACK,
        (State.ROLLING_BACK, Event.ALL_BACK): Step(State.ROLLED_BACK),
        (State.DONE, Event.ABORT): _BACK,
    }
)
ACTIVE: Final = (State.RUNNING, State.PAUSED, State.FROZEN, State.ROLLING_BACK)


def step(state: State, event: Event) -> Step:
    """What follows on an event."""
    return TABLE.get((state, event), Step(state))
