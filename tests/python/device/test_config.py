# SPDX-License-Identifier: Apache-2.0
"""device.toml: the committed example, defaults, and one sentence for everything that cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeml.device.config import InputConfig, load_config
from edgeml.errors import UsageError
from edgeml.privacy import PrivacyBudget
from support.needs import REPOSITORY

NEEDED = 'model = "m.edgeml"\nstate = "/var/lib/edgeml"\ndevice = "d1"\n'
INPUT = '[input]\nnpz = "inputs"\n'


def load(folder: Path, text: str | bytes) -> object:
    path = folder / "device.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_config(path)


def test_the_example_is_valid() -> None:
    config = load_config(REPOSITORY / "docs" / "howto" / "device.toml")
    assert config.device == "camera-7"
    assert config.budget == PrivacyBudget(epsilon="300", per_release="1")
    assert config.input == InputConfig(npz=REPOSITORY / "docs" / "howto" / "inputs", period_s=1.0)


def test_defaults_and_paths(tmp_path: Path) -> None:
    config = load(tmp_path, NEEDED + INPUT)
    assert (config.model, config.state) == (tmp_path / "m.edgeml", Path("/var/lib/edgeml"))  # type: ignore[attr-defined]
    assert (config.tenant, config.window_s, config.threads, config.isa) == ("default", 300.0, None, None)  # type: ignore[attr-defined]
    assert config.budget == PrivacyBudget()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "'device' is missing"),
        (NEEDED, "npz = a folder, or source"),
        (NEEDED + '[input]\nnpz = "a"\nsource = "a:b"\n', "not both"),
        (NEEDED + "speed = 1\n" + INPUT, "unknown key 'speed'"),
        (NEEDED + INPUT + "[buget]\n", "unknown key 'buget'"),
        (NEEDED + INPUT + "[budget]\nepsilon = 8\n", "epsilon in .budget. must be text"),
        (NEEDED + INPUT + '[budget]\nepsilon = "-8"\n', "above 0"),
        (NEEDED + 'window_s = "5"\n' + INPUT, "window_s in the top must be a number"),
        (NEEDED + "window_s = true\n" + INPUT, "window_s in the top must be a number"),
        (NEEDED + "threads = 1.5\n" + INPUT, "whole number"),
        (NEEDED + "budget = 3\n" + INPUT, "budget must be a table"),
        (NEEDED + INPUT + "period_s = -1\n", "period_s"),
        ("model = ", "not TOML"),
        (b"\xff\xfe", "not TOML"),
    ],
)
def test_refuses(tmp_path: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(UsageError, match=message) as error:
        load(tmp_path, text)
    assert str(tmp_path / "device.toml") in str(error.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read"):
        load_config(tmp_path / "device.toml")
