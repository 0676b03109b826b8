# SPDX-License-Identifier: Apache-2.0
"""Cards of models, as people write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeml.errors import FleetError
from edgeml.fleet.model_card import ModelCard, load_card

WHOLE = """
risk_tier = "high"
owner = "vision team"
playbook = "docs/playbook.md"
business_metric = "parcels sorted right"
dataset_sha256 = "{digest}"
[metrics]
accuracy = 0.97
digits = 360
""".format(digest="ab" * 32)


def test_a_whole_card(tmp_path: Path) -> None:
    path = tmp_path / "card.toml"
    path.write_text(WHOLE)
    card = load_card(path)
    assert card.document() == {
        "risk_tier": "high",
        "owner": "vision team",
        "playbook": "docs/playbook.md",
        "business_metric": "parcels sorted right",
        "dataset_sha256": "ab" * 32,
        "metrics": {"accuracy": 0.97, "digits": 360},
    }


@pytest.mark.parametrize("missing", ["owner", "playbook", "business_metric"])
@pytest.mark.parametrize("text", ["", "  "])
def test_a_model_of_high_risk_needs_someone_who_answers_for_it(missing: str, text: str) -> None:
    whole = {"owner": "o", "playbook": "p", "business_metric": "b"}
    with pytest.raises(FleetError, match=f"high risk needs {missing}"):
        ModelCard(risk_tier="high", **{**whole, missing: text})
    ModelCard(risk_tier="medium", **{**whole, missing: text})


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("owner = 3", "owner must be text"),
        ("colour = 'red'", "unknown key 'colour'"),
        ("risk_tier = 'none'", "risk_tier 'none'"),
        ("dataset_sha256 = 'AB'", "64 hexadecimal digits"),
        ("metrics = 3", "table of numbers"),
        ("[metrics]\na = 'x'", "metric 'a'"),
        ("[metrics]\na = inf", "metric 'a'"),
        ("[metrics]\na = true", "metric 'a'"),
        ("= 3", "not TOML"),
    ],
)
def test_a_card_that_cannot_be(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "card.toml"
    path.write_text(text)
    with pytest.raises(FleetError, match=sentence):
        load_card(path)


def test_no_card(tmp_path: Path) -> None:
    with pytest.raises(FleetError, match="cannot read"):
        load_card(tmp_path / "none.toml")
