# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest

from edgeml.errors import FleetError
from edgeml.fleet.config import load_config
from edgeml.telemetry.broker_address import BrokerAddress
from support.needs import REPOSITORY

RULE = '[[rule]]\nname = "a"\nowner = "b"\nplaybook = "c"\n'


def test_empty_file_means_defaults(tmp_path: Path) -> None:
    (tmp_path / "fleet.toml").write_text("")
    config = load_config(tmp_path / "fleet.toml")
    assert config.store_url == f"sqlite:///{tmp_path}/fleet.db"
    assert config.token_file == tmp_path / "fleet.token"
    assert config.broker == BrokerAddress(host="127.0.0.1", port=1883)
    assert (config.period_s, config.http_host, config.http_port, config.rules) == (3600, "127.0.0.1", 8080, ())


def test_example_is_valid() -> None:
    config = load_config(REPOSITORY / "docs/howto/fleet.toml")
    assert [rule.name for rule in config.rules] == ["input-drift", "output-drift"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("x = ", "is not TOML"),
        ("[stor]", r"unknown table \[stor\]"),
        ("store = 3", "store must be a table"),
        ("[store]\nurk = 'x'", r"unknown key 'urk' in \[store\]"),
        ("[drift]\nperiod_s = 'x'", "period_s must be a number"),
        ("[drift]\nperiod_s = true", "period_s must be a number"),
        ("[drift]\nperiod_s = 0", "period_s must be 1 second"),
        ("[dashboard]\nport = 70000", "port must be"),
        ("[broker]\nurl = 'x'", "broker url 'x'"),
        ("[rule]\nname = 'x'", r"rules are written as \[\[rule\]\]"),
        ("[[rule]]\nname = 'x'", "key 'owner' is missing"),
        (RULE + "alfa = 1", "unknown key 'alfa' in rule 'a'"),
        (RULE + "alpha = 7", "rule 'a': alpha 7"),
        (RULE + RULE, "two rules have the name 'a'"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "fleet.toml"
    path.write_text(text)
    with pytest.raises(FleetError, match=sentence) as caught:
        load_config(path)
    assert str(path) in str(caught.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(FleetError, match=r"cannot read .*No such file"):
        load_config(tmp_path / "fleet.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(FleetError, match="is not TOML"):
        load_config(tmp_path / "binary.toml")
