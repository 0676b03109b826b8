# SPDX-License-Identifier: Apache-2.0
"""What the overview shows of time: the newest period of each device, but not one that has only just begun."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgeml.fleet.evaluation import evaluate
from edgeml.fleet.histograms import histograms_of
from edgeml.fleet.overview import SILENT_AFTER_S, drift_of_device, newest_telling, overview
from edgeml.fleet.store.engine import reading, writing
from edgeml.fleet.store.intake import take_in
from support.reports import NOON_S, normal_counts, received, report, window
from support.small_fleet import HOUR_S, HOURS, NOW_S, SCHEMA, small_fleet

LAST_HOUR_S = NOON_S + (HOURS - 1) * HOUR_S


@pytest.mark.parametrize(
    ("samples", "start_s"), [({5: 1.0}, 5), ({5: 9.0, 6: 5.0}, 6), ({5: 9.0, 6: 4.0}, 5), ({4: 1.0, 5: 0.0, 6: 0.0}, 6)]
)
def test_period_that_has_only_just_begun(samples: dict[int, float], start_s: int) -> None:
    assert newest_telling(samples) == start_s


def test_a_few_samples_of_a_new_hour_do_not_hide_the_drift(tmp_path: Path) -> None:
    engine = small_fleet(tmp_path / "fleet.db")
    rng = np.random.default_rng(2)
    seq = 12 * HOURS + 1

    def starts() -> tuple[set[int], int, int, int]:
        with reading(engine) as connection:
            state = overview(connection, now_s=NOW_S, period_s=HOUR_S)
            history = [one for one in state.history if one.device == "drifting"]
            of_device = drift_of_device(connection, "acme", "drifting")
            shown = histograms_of(connection, "acme", "drifting", before_s=of_device[-1].period_start_s)
        assert shown is not None
        newest = {one.period_start_s for one in state.drift if one.device == "drifting"}
        return newest, history[-1].period_start_s, of_device[-1].period_start_s, shown.period_start_s

    def send(windows: int) -> None:
        nonlocal seq
        for _ in range(windows):
            one = window(seq, normal_counts(SCHEMA, rng), SCHEMA.id, start=LAST_HOUR_S + HOUR_S)
            with writing(engine) as connection:
                take_in(connection, [received("drifting", report(b"drifting", [one]))], now_s=NOW_S, period_s=HOUR_S)
            seq += 1
        evaluate(engine, [], period_s=HOUR_S, now_s=NOW_S)

    assert starts() == ({LAST_HOUR_S}, *[LAST_HOUR_S] * 3)
    send(2)
    assert starts() == ({LAST_HOUR_S}, *[LAST_HOUR_S] * 3)
    send(6)
    assert starts() == ({LAST_HOUR_S + HOUR_S}, *[LAST_HOUR_S + HOUR_S] * 3)


def test_states_of_devices(tmp_path: Path) -> None:
    engine = small_fleet(tmp_path / "fleet.db")
    with reading(engine) as connection:
        for now_s, state in ((NOW_S + SILENT_AFTER_S, "online"), (NOW_S + SILENT_AFTER_S + 1, "silent")):
            devices = overview(connection, now_s=now_s, period_s=HOUR_S).devices
            assert {device.state for device in devices} == {state}
