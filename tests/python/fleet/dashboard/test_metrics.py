# SPDX-License-Identifier: Apache-2.0
"""The shipped alert rules and Grafana dashboard ask for metrics that exist."""

from __future__ import annotations

import json
import re
from pathlib import Path

from edgeml.fleet.dashboard.metrics import render
from edgeml.fleet.overview import overview
from edgeml.fleet.store.engine import reading
from support.needs import REPOSITORY
from support.small_fleet import HOUR_S, NOW_S, small_fleet

EXAMPLES = REPOSITORY / "examples" / "monitoring"
METRIC = re.compile(r"edgeml_[a-z_]+")


def test_examples_name_metrics_that_exist(tmp_path: Path) -> None:
    with reading(small_fleet(tmp_path / "fleet.db")) as connection:
        text = render(overview(connection, now_s=NOW_S, period_s=HOUR_S)).decode()
    there = {METRIC.match(line).group() for line in text.splitlines() if line.startswith("edgeml_")}  # type: ignore[union-attr]
    rules = (EXAMPLES / "alert_rules.yml").read_text()
    panels = json.loads((EXAMPLES / "grafana_dashboard.json").read_text())["panels"]
    asked = [target["expr"] for panel in panels for target in panel["targets"]]
    asked += re.findall(r"expr: (.+)", rules)
    assert len(asked) >= 14
    named = {name for expression in asked for name in METRIC.findall(expression)}
    assert named
    assert named <= there


def test_device_counts(tmp_path: Path) -> None:
    with reading(small_fleet(tmp_path / "fleet.db")) as connection:
        text = render(overview(connection, now_s=NOW_S, period_s=HOUR_S)).decode()
    assert "\nedgeml_devices 3.0\n" in text
    assert "\nedgeml_devices_online 3.0\n" in text
