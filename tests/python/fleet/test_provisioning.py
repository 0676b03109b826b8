# SPDX-License-Identifier: Apache-2.0
"""Provisioning through the command line: keys made here or on the device, ACL lines, and what cannot be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edgeml.cli.main import main
from edgeml.fleet.store.device_keys import keys_of
from edgeml.fleet.store.engine import open_store, reading
from edgeml.telemetry.device_key import DeviceKey, public_key_text

KEY = public_key_text(DeviceKey(bytes(32)).public)
OTHER_KEY = public_key_text(DeviceKey(bytes(range(32))).public)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "fleet.toml").write_text("")
    return tmp_path


def provision(folder: Path, *arguments: str) -> int:
    return main(["fleet", "provision", *arguments, "--config", str(folder / "fleet.toml")])


def known(folder: Path, *devices: str) -> list[tuple[str, ...]]:
    names = [("default", device) for device in devices]
    with reading(open_store(f"sqlite:///{folder / 'fleet.db'}")) as connection:
        keys = keys_of(connection, names)
    return [tuple(map(public_key_text, keys[name])) for name in names]


def test_a_device_hands_over_its_public_key(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "device.toml").write_text('model = "m"\nstate = "state"\ndevice = "gate-7"\n[input]\nnpz = "x"\n')
    init = ["device", "init", "--config", str(folder / "device.toml")]
    assert main([*init, "--json"]) == 0
    made: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert made["new"]
    assert main(init) == 0
    *_, said = capsys.readouterr().out.splitlines()
    words = said.removeprefix("at the fleet: edgeml fleet provision ").split()
    assert provision(folder, *words) == 0
    assert known(folder, "gate-7") == [(made["public_key"],)]
    assert DeviceKey.load(Path(made["key_file"])).public == DeviceKey.load(folder / "state" / "device.key").public


def test_acl_lines_pin_a_device_to_its_own_subtree(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert provision(folder, "--tenant", "acme", f"gate-7={KEY}", f"gate-8={OTHER_KEY}") == 0
    assert capsys.readouterr().out.splitlines() == [
        f"# acme/gate-7 {KEY}",
        "user gate-7",
        "topic write edgeml/v1/acme/gate-7/up/#",
        "topic read edgeml/v1/acme/gate-7/down/#",
        f"# acme/gate-8 {OTHER_KEY}",
        "user gate-8",
        "topic write edgeml/v1/acme/gate-8/up/#",
        "topic read edgeml/v1/acme/gate-8/down/#",
    ]


def test_a_key_can_be_made_at_the_fleet(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert provision(folder, "gate-9", "--out", str(folder / "keys"), "--json") == 0
    (made,) = json.loads(capsys.readouterr().out)["devices"]
    assert made["key_file"] == str(folder / "keys" / "gate-9" / "device.key")
    assert public_key_text(DeviceKey.load(Path(made["key_file"])).public) == made["public_key"]
    assert known(folder, "gate-9") == [(made["public_key"],)]
    assert provision(folder, "gate-9", "--out", str(folder / "keys")) == 2
    assert "exists" in capsys.readouterr().err


def test_a_device_changes_its_key_without_a_gap(folder: Path) -> None:
    assert provision(folder, f"gate-7={KEY}") == 0
    assert provision(folder, f"gate-7={OTHER_KEY}", f"gate-8={KEY}") == 0
    assert [set(keys) for keys in known(folder, "gate-7", "gate-8")] == [{KEY, OTHER_KEY}, {KEY}]
    assert provision(folder, f"gate-7={OTHER_KEY}", "--only") == 0
    assert known(folder, "gate-7", "gate-8", "gate-9") == [(OTHER_KEY,), (KEY,), ()]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["gate-7"], "give its public key"),
        (["gate-7="], "is not ed25519:"),
        ([f"gate/7={KEY}"], "device 'gate/7' must be"),
        ([f"gate-7={KEY}", f"gate-7={OTHER_KEY}"], "named twice"),
        (["--tenant", "a/b", f"gate-7={KEY}"], "tenant 'a/b' must be"),
    ],
)
def test_what_cannot_be_provisioned(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    assert provision(folder, *arguments) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert says in err
    assert known(folder, "gate-7") == [()]
