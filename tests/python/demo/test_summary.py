# SPDX-License-Identifier: Apache-2.0
"""The demo's verdict: every broken promise fails it, and text and JSON say the same."""

from __future__ import annotations

import dataclasses
import io
import json
from typing import Any

import pytest

pytest.importorskip("rich", reason="needs edgeml[demo]")
from rich.console import Console

from edgeml.demo.releases import Release, Releases
from edgeml.demo.summary import Accuracy, DeviceFigures, Summary

RETRAINED = Release(model_id="aa", state="done", reason="", asked=2, confirmed=2, seconds=20.0)
BROKEN = Release(model_id="bb", state="rolled back", reason="1 of 1 devices left", asked=1, confirmed=0, seconds=6.0)
RELEASES = Releases(
    retrained=RETRAINED,
    broken=BROKEN,
    accuracy_before={"dirty lens": 0.8},
    accuracy_after={"dirty lens": 0.95},
    audit_is_intact=True,
)
GOOD = DeviceFigures(
    name="camera-1",
    fault=None,
    inferences=4000,
    accuracy_before=0.99,
    accuracy_after=0.98,
    accuracy_retrained=0.99,
    model_id="aa",
    latency_us_p50=50.0,
    latency_us_p99=90.0,
    windows_produced=9,
    windows_stored=9,
    unaccounted=0,
    alarm=False,
    alarm_features=(),
    epsilon_spent=9.0,
    epsilon_budget=100.0,
)
BAD = dataclasses.replace(GOOD, name="camera-2", fault="dirty lens", alarm=True, alarm_features=("image/std[0]",))
SUMMARY = Summary(
    devices=(GOOD, BAD),
    accuracy=Accuracy(samples=359, float32=0.997, int8=0.994, agreement=0.997),
    artifact_bytes=30_000,
    epsilon_per_window=1.0,
    window_s=3.0,
    alarm_after_s=7.5,
    releases=RELEASES,
    elapsed_s=61.0,
    dashboard="demo.html",
)


def test_a_run_that_keeps_its_promises_passes() -> None:
    assert SUMMARY.passed
    assert all(SUMMARY.checks.values())


@pytest.mark.parametrize(
    ("device", "changes", "broken"),
    [
        (1, {"alarm": False}, "alarm for every drifting device"),
        (0, {"alarm": True}, "no alarm for any other device"),
        (0, {"windows_stored": 8}, "windows produced = stored"),
        (0, {"windows_stored": 0, "windows_produced": 0}, "windows produced = stored"),
        (1, {"unaccounted": 1}, "unaccounted = 0"),
        (1, {"unaccounted": -1}, "unaccounted = 0"),
        (0, {"epsilon_spent": 100.5}, "epsilon within every device's budget"),
        (0, {"model_id": "bb"}, "every device runs the retrained model at the end"),
        (0, {"epsilon_spent": 0.0}, "epsilon within every device's budget"),
    ],
)
def test_one_broken_promise_of_one_device_fails_it(device: int, changes: dict[str, Any], broken: str) -> None:
    devices = list(SUMMARY.devices)
    devices[device] = dataclasses.replace(devices[device], **changes)
    summary = dataclasses.replace(SUMMARY, devices=tuple(devices))
    assert [name for name, holds in summary.checks.items() if not holds] == [broken]
    assert not summary.passed
    assert not summary.document()["passed"]


@pytest.mark.parametrize(
    ("changes", "broken"),
    [
        ({"retrained": dataclasses.replace(RETRAINED, state="rolled back")}, "it reached every device in waves"),
        ({"retrained": dataclasses.replace(RETRAINED, confirmed=1)}, "it reached every device in waves"),
        ({"broken": dataclasses.replace(BROKEN, state="done")}, "the broken model was stopped at the first devices"),
        ({"broken": dataclasses.replace(BROKEN, asked=2)}, "the broken model was stopped at the first devices"),
        ({"accuracy_after": {"dirty lens": 0.8}}, "the retrained model reads drifted pictures better"),
        ({"audit_is_intact": False}, "the audit log is intact"),
    ],
)
def test_one_broken_promise_of_a_rollout_fails_it(changes: dict[str, Any], broken: str) -> None:
    summary = dataclasses.replace(SUMMARY, releases=dataclasses.replace(RELEASES, **changes))
    assert [name for name, holds in summary.checks.items() if not holds] == [broken]
    assert not summary.passed


def test_lost_accuracy_fails_it() -> None:
    accuracy = dataclasses.replace(SUMMARY.accuracy, int8=0.98)
    assert not dataclasses.replace(SUMMARY, accuracy=accuracy).passed


def test_document_is_json_with_every_figure() -> None:
    document = json.loads(json.dumps(SUMMARY.document()))
    assert document["windows"] == {"produced": 18, "stored": 18, "unaccounted": 0}
    assert document["devices"][1]["alarm_features"] == ["image/std[0]"]
    assert document["accuracy"]["agreement"] == 0.997


def test_text_names_devices_faults_and_checks() -> None:
    text = io.StringIO()
    SUMMARY.print(Console(file=text, width=140))
    for part in ("camera-2", "dirty lens", "image/std[0]", "99.40%", "18 windows produced, 18 stored, 0 unaccounted"):
        assert part in text.getvalue()
    assert "FAILED" not in text.getvalue()
    assert text.getvalue().count("ok  ") == len(SUMMARY.checks)
