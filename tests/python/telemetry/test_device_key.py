# SPDX-License-Identifier: Apache-2.0
"""The device's key: made once, private on disk, the same signatures for ever, and hostile files and texts."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest

from edgeml.errors import DeviceError, UsageError
from edgeml.telemetry.device_key import DeviceKey, is_signed_by, parse_public_key, public_key_text

if TYPE_CHECKING:
    from pathlib import Path

# RFC 8032, section 7.1, test 2.
SEED = bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
PUBLIC = bytes.fromhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")
SIGNATURE = bytes.fromhex(
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
)


def test_signs_as_the_rfc_says() -> None:
    key = DeviceKey(SEED)
    assert key.public == PUBLIC
    assert key.sign(b"\x72") == SIGNATURE
    assert is_signed_by(PUBLIC, b"\x72", SIGNATURE)
    assert not is_signed_by(PUBLIC, b"\x73", SIGNATURE)
    assert not is_signed_by(PUBLIC, b"\x72", SIGNATURE[:-1])
    assert not is_signed_by(bytes(32), b"\x72", SIGNATURE)
    assert SEED.hex() not in repr(key)


def test_a_key_is_made_once_and_is_private(tmp_path: Path) -> None:
    path = tmp_path / "new" / "device.key"
    key = DeviceKey.create(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert DeviceKey.load(path).public == DeviceKey.load_or_create(path).public == key.public
    with pytest.raises(DeviceError, match="exists"):
        DeviceKey.create(path)
    assert DeviceKey.create(tmp_path / "other").public != key.public
    assert sorted(one.name for one in path.parent.iterdir()) == ["device.key"]


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"edgeml-device-key-1",
        b"edgeml-device-key-1 AAAA",
        b"edgeml-device-key-2 " + b"A" * 43 + b"=",
        b"\xff" * 80,
    ],
)
def test_a_file_that_is_no_key(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "device.key"
    path.write_bytes(text)
    with pytest.raises(DeviceError, match="is not a device key"):
        DeviceKey.load_or_create(path)
    assert path.read_bytes() == text


def test_a_key_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="edgeml device init"):
        DeviceKey.load(tmp_path / "none")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DeviceError, match="cannot be written"):
        DeviceKey.create(tmp_path / "file" / "device.key")


def test_public_keys_as_text() -> None:
    text = public_key_text(PUBLIC)
    assert text == "ed25519:PUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw="
    assert parse_public_key(text) == PUBLIC
    for bad in ("", "ed25519:", text[:-1], text.removeprefix("ed25519:"), text + "A", "rsa:" + text, "ed25519:☃"):
        with pytest.raises(UsageError):
            parse_public_key(bad)
