# SPDX-License-Identifier: Apache-2.0
"""Every state with every event."""

from __future__ import annotations

import itertools

import pytest

from edgeml.fleet.rollout.machine import TABLE, Action, Event, State, step

LIVE = (State.RUNNING, State.PAUSED, State.FROZEN)


@pytest.mark.parametrize(("state", "event"), list(itertools.product(State, Event)))
def test_every_pair(state: State, event: Event) -> None:
    after, actions = step(state, event)
    assert isinstance(after, State)
    if (state, event) not in TABLE:
        assert (after, actions) == (state, ())
    if Action.SEND_BACK in actions:
        assert after is State.ROLLING_BACK
    if Action.NEXT_WAVE in actions:
        assert (state, event) == (State.RUNNING, Event.WAVE_PASSED)  # nothing else reaches further devices


@pytest.mark.parametrize("state", LIVE)
@pytest.mark.parametrize("event", [Event.GATE_FAILED, Event.ABORT])
def test_the_way_back_is_always_open(state: State, event: Event) -> None:
    assert step(state, event) == (State.ROLLING_BACK, (Action.SEND_BACK,))


@pytest.mark.parametrize("event", list(Event))
def test_what_is_rolled_back_stays_so(event: Event) -> None:
    assert step(State.ROLLED_BACK, event) == (State.ROLLED_BACK, ())
    if event is not Event.ALL_BACK:
        assert step(State.ROLLING_BACK, event) == (State.ROLLING_BACK, ())


@pytest.mark.parametrize("held", [State.PAUSED, State.FROZEN])
def test_no_wave_begins_while_it_is_held(held: State) -> None:
    assert step(held, Event.WAVE_PASSED) == (held, ())
    assert step(held, Event.LAST_WAVE_PASSED) == (held, ())


def test_every_state_can_be_reached_and_left() -> None:
    reached = {State.RUNNING}
    for _ in State:
        reached |= {step(state, event).state for state in reached for event in Event}
    assert reached == set(State)
    for state in set(State) - {State.ROLLED_BACK}:
        assert any(step(state, event).state is not state for event in Event)
