# SPDX-License-Identifier: Apache-2.0
"""Rollouts in the simulator: good models arrive, bad ones are stopped and rolled back without a person."""

from __future__ import annotations

import pytest

from edgeml.errors import UsageError
from edgeml.fleet.simulator import MODELS, SimOptions, false_stops, simulate

DEVICES = 150
REASONS = {"slow": "latency", "drifting": "drift", "crashing": "did not survive", "silent": "silent past the deadline"}


@pytest.mark.parametrize("model", MODELS)
def test_every_kind_of_model_ends_as_it_should(model: str) -> None:
    report = simulate(SimOptions(model=model, devices=DEVICES, seed=3))
    assert report.passed, report
    assert report.unaccounted == 0
    if model == "good":
        assert (report.state, report.reached) == ("done", DEVICES)
    else:
        assert report.state == "rolled back"
        assert report.reached <= 0.02 * DEVICES  # two of the canary
        assert REASONS[model] in report.reason


def test_equal_seeds_give_equal_histories() -> None:
    first, second, other = (simulate(SimOptions(model="slow", devices=50, seed=seed)) for seed in (5, 5, 6))
    assert first == second
    assert other.history != first.history


def test_good_models_are_rarely_stopped() -> None:
    assert false_stops(100, seed=1) <= 3  # at a chance of 1 %, four of a hundred have a chance of 2 %


@pytest.mark.parametrize("options", [{"model": "other"}, {"devices": 9}, {"devices": 10_001}])
def test_options_that_cannot_be(options: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        SimOptions(**options)  # type: ignore[arg-type]
