# SPDX-License-Identifier: Apache-2.0
"""`edgeml privacy show`: what people and machines read, and one sentence for what is no state directory."""

from __future__ import annotations

import json
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from edgeml.cli.main import main
from edgeml.privacy import PrivacyBudget
from edgeml.privacy.ledger import DAY_S
from edgeml.telemetry.spool import Spool
from edgeml.telemetry.state_directory import SPOOL_FILE

if TYPE_CHECKING:
    from pathlib import Path

NOON = 20_000 * DAY_S + DAY_S // 2  # of 2024-10-04


def test_shows_days_while_the_device_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    budget = PrivacyBudget(epsilon="2.5", per_release="0.5")
    with closing(Spool(tmp_path, budget=budget, now=NOON)) as spool:
        spool.ledger.reserve(NOON)
        spool.ledger.reserve(NOON)
        spool.ledger.reserve(NOON + DAY_S)
        assert main(["privacy", "show", str(tmp_path), "--json"]) == 0
        document = json.loads(capsys.readouterr().out)
        assert document["days"] == [
            {
                "day": "2024-10-04",
                "epsilon_spent": 1.0,
                "epsilon_left": 1.5,
                "epsilon_budget": 2.5,
                "releases": 2,
                "burnt": 2,
                "epsilon_together": 1.0,
                "delta": 1e-9,
            },
            {
                "day": "2024-10-05",
                "epsilon_spent": 0.5,
                "epsilon_left": 2.0,
                "epsilon_budget": 2.5,
                "releases": 1,
                "burnt": 1,
                "epsilon_together": 0.5,
                "delta": 1e-9,
            },
        ]
        assert main(["privacy", "show", str(tmp_path)]) == 0
        assert capsys.readouterr().out.splitlines()[1].split() == ["2024-10-04", "1", "1.5", "2", "2", "1"]


@pytest.mark.parametrize("content", [None, b"", b"not a database, " * 500])
def test_one_sentence_for_what_is_no_state_directory(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes | None
) -> None:
    if content is not None:
        (tmp_path / SPOOL_FILE).write_bytes(content)
    assert main(["privacy", "show", str(tmp_path)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.splitlines()) == 1
    assert str(tmp_path) in captured.err


def test_a_plan_that_sees_and_one_that_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    question = ["privacy", "plan", "--devices", "1000", "--events-per-day", "200", "--shift-sd", "0.05"]
    assert main([*question, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["can_see"]
    assert main([*question, "--unit", "device-day"]) == 1
    said = capsys.readouterr().out
    assert len(said.splitlines()) == 1
    assert "cannot see" in said
    assert main([*question, "--secure-sum"]) == 2


@pytest.mark.parametrize("sampler", ["exact", "constant_time"])
def test_an_audit_passes(sampler: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["privacy", "audit", "--sampler", sampler, "--releases", "10000", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert 0.5 < found["epsilon_lower_bound"] <= found["epsilon_claimed"] == 1.0
