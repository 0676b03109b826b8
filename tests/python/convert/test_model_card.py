# SPDX-License-Identifier: Apache-2.0
"""The card reaches the metadata; a card that cannot be is refused before anything is converted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import edgeml.convert
from edgeml.convert.model_card import TEXT_CHARACTERS_MAX, read_card
from edgeml.errors import UsageError
from support.onnx_models import small_data, small_network

CARD = {
    "owner": "vision team",
    "risk_tier": "high",
    "playbook": "wiki/doors",
    "business_metric": "doors kept shut",
    "licence": "MIT",
}


def test_the_artifact_carries_the_card(tmp_path: Path) -> None:
    path = tmp_path / "card.toml"
    path.write_text("".join(f'{name} = "{value}"\n' for name, value in CARD.items()), encoding="utf-8")
    from_file = edgeml.convert(small_network(), calibration=small_data(), card=path)
    assert from_file.metadata["card"] == CARD
    assert edgeml.convert(small_network(), calibration=small_data(), card=CARD).to_bytes() == from_file.to_bytes()
    assert "card" not in edgeml.convert(small_network(), calibration=small_data()).metadata


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"colour": "red"}, "unknown field 'colour'; a card has risk_tier, owner"),
        ({"owner": 7}, "owner must be text"),
        ({"owner": "x" * (TEXT_CHARACTERS_MAX + 1)}, "owner must be text"),
        ({"risk_tier": "some"}, "risk_tier 'some' is none of low"),
        ({"playbook": " "}, "high risk needs playbook"),
    ],
)
def test_cards_that_are_refused(change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        read_card({**CARD, **change})


@pytest.mark.parametrize("data", [b"owner = ", b"\xff\xfe", b"[owner]\n"])
def test_files_that_are_no_card(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "card.toml"
    path.write_bytes(data)
    with pytest.raises(UsageError, match=r"card\.toml"):
        read_card(path)
    with pytest.raises(UsageError, match="cannot read"):
        read_card(tmp_path / "none.toml")
