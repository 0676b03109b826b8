# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import stat
from pathlib import Path

import pytest

from edgeml.errors import FleetError
from edgeml.fleet.dashboard.access import load_or_make_token


def test_token_is_made_once_and_for_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "fleet.token"
    token, is_new = load_or_make_token(path)
    assert is_new
    assert len(token) >= 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_or_make_token(path) == (token, False)
    assert load_or_make_token(tmp_path / "other.token")[0] != token


def test_short_token_is_refused(tmp_path: Path) -> None:
    (tmp_path / "fleet.token").write_text("secret\n")
    with pytest.raises(FleetError, match="fewer than 16 characters"):
        load_or_make_token(tmp_path / "fleet.token")


def test_impossible_file(tmp_path: Path) -> None:
    with pytest.raises(FleetError, match="No such file"):
        load_or_make_token(tmp_path / "no" / "fleet.token")
    with pytest.raises(FleetError, match="Is a directory"):
        load_or_make_token(tmp_path)
