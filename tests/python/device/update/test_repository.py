# SPDX-License-Identifier: Apache-2.0
"""A device fetches what the fleet has signed, and refuses each attack with the word for it."""

from __future__ import annotations

import hashlib
import shutil
import time
from pathlib import Path

import pytest
from tuf.api.metadata import Metadata

from edgeml.device.update.repository import Repository, UpdateRefusedError, UpdateUnreachableError
from edgeml.fleet.signing_key import make_key
from edgeml.fleet.update_repository import UpdateRepository, target_path
from support.update_server import serve_folder

DATA = b"an artifact" * 1000
DIGEST = hashlib.sha256(DATA).hexdigest()
DAY_S = 86_400


@pytest.fixture
def shelf(tmp_path: Path) -> UpdateRepository:
    repository = UpdateRepository(tmp_path / "updates")
    repository.create(time.time())
    assert repository.put_forward(DATA, {"name": "digits"}, time.time()) == 2
    return repository


def client(shelf: UpdateRepository, url: str, tmp_path: Path) -> Repository:
    return Repository(url, root=shelf.root_bytes(), folder=tmp_path / "device")


def refusal(shelf: UpdateRepository, tmp_path: Path, digest: str = DIGEST, *, endless: str = "") -> str:
    with serve_folder(shelf.folder, endless=endless) as url, pytest.raises(UpdateRefusedError) as caught:
        client(shelf, url, tmp_path).fetch(digest)
    return caught.value.reason


def test_a_signed_model_comes(shelf: UpdateRepository, tmp_path: Path) -> None:
    with serve_folder(shelf.folder) as url:
        fetched = client(shelf, url, tmp_path).fetch(DIGEST)
        assert (fetched.data, fetched.digest, fetched.serial) == (DATA, DIGEST, 2)
        shelf.put_forward(b"another", {}, time.time())
        assert client(shelf, url, tmp_path).fetch(DIGEST).serial == 2
        assert shelf.put_forward_again(DIGEST, time.time()) == 4  # a wanted rollback: new targets, old hash
        assert client(shelf, url, tmp_path).fetch(DIGEST) == type(fetched)(data=DATA, digest=DIGEST, serial=4)
    assert list((tmp_path / "device" / "downloads").iterdir()) == []


def test_what_is_signed_about_a_model(shelf: UpdateRepository) -> None:
    assert shelf.custom_of(DIGEST) == {"name": "digits", "serial": 2}
    assert shelf.custom_of("00" * 32) is None


def test_rollback(shelf: UpdateRepository, tmp_path: Path) -> None:
    shutil.copytree(shelf.metadata_folder, tmp_path / "old")
    shelf.put_forward(b"another", {}, time.time())
    with serve_folder(shelf.folder) as url:
        client(shelf, url, tmp_path).fetch(DIGEST)
    shutil.rmtree(shelf.metadata_folder)
    shutil.copytree(tmp_path / "old", shelf.metadata_folder)
    assert refusal(shelf, tmp_path) == "rollback"


def test_freeze(tmp_path: Path) -> None:
    frozen = UpdateRepository(tmp_path / "frozen")
    frozen.create(time.time() - 2 * DAY_S)
    frozen.put_forward(DATA, {}, time.time() - 2 * DAY_S)
    assert refusal(frozen, tmp_path) == "freeze"
    assert frozen.refresh(time.time())
    assert not frozen.refresh(time.time())
    with serve_folder(frozen.folder) as url:
        assert client(frozen, url, tmp_path).fetch(DIGEST).data == DATA


def test_all_that_the_fleet_signs_is_signed_anew(tmp_path: Path) -> None:
    shelf, born_s = UpdateRepository(tmp_path / "old"), time.time() - 364.9 * DAY_S
    shelf.create(born_s)
    assert shelf.put_forward(DATA, {"name": "digits"}, born_s) == 2
    assert shelf.refresh(time.time())
    targets = Metadata.from_file(str(shelf.metadata_folder / "3.targets.json"))
    assert targets.signed.expires.timestamp() > time.time() + 300 * DAY_S
    assert not shelf.refresh(time.time())
    with serve_folder(shelf.folder) as url:  # its root ends in some hours
        fetched = client(shelf, url, tmp_path).fetch(DIGEST)
    assert (fetched.data, fetched.serial) == (DATA, 2)


@pytest.mark.parametrize("short", ["timestamp.json", "targets.json", "/targets/models/"])
def test_a_connection_that_ends_early_is_no_attack(shelf: UpdateRepository, tmp_path: Path, short: str) -> None:
    with serve_folder(shelf.folder, short=short) as url, pytest.raises(UpdateUnreachableError, match="bytes early"):
        client(shelf, url, tmp_path).fetch(DIGEST)
    with serve_folder(shelf.folder) as url:
        assert client(shelf, url, tmp_path).fetch(DIGEST).data == DATA


def test_mix_and_match(shelf: UpdateRepository, tmp_path: Path) -> None:
    newest = max(shelf.metadata_folder.glob("*.snapshot.json"))
    shutil.copy(min(shelf.metadata_folder.glob("*.snapshot.json")), newest)
    assert refusal(shelf, tmp_path) == "mix-and-match"


@pytest.mark.parametrize("endless", ["timestamp.json", "snapshot.json", "targets.json", "/targets/models/"])
def test_endless_data(shelf: UpdateRepository, tmp_path: Path, endless: str) -> None:
    assert refusal(shelf, tmp_path, endless=endless) == "endless data"


@pytest.mark.parametrize("role", ["timestamp", "snapshot", "targets"])
def test_wrong_key(shelf: UpdateRepository, tmp_path: Path, role: str) -> None:
    (shelf.folder / "keys" / f"{role}.key").unlink()
    make_key(shelf.folder / "keys" / f"{role}.key")
    shelf.put_forward(b"another", {}, time.time())
    assert refusal(shelf, tmp_path) == "wrong key"


def test_a_root_that_the_device_does_not_trust(shelf: UpdateRepository, tmp_path: Path) -> None:
    other = UpdateRepository(tmp_path / "other")
    other.create(time.time())
    with serve_folder(other.folder) as url, pytest.raises(UpdateRefusedError) as caught:
        client(shelf, url, tmp_path).fetch(DIGEST)
    assert caught.value.reason == "wrong key"


def test_tampered_target(shelf: UpdateRepository, tmp_path: Path) -> None:
    path = next((shelf.targets_folder / "models").iterdir())
    path.write_bytes(DATA[:-1] + b"\0")
    assert refusal(shelf, tmp_path) == "tampered"


def test_a_model_that_nobody_signed(shelf: UpdateRepository, tmp_path: Path) -> None:
    assert refusal(shelf, tmp_path, "ab" * 32) == "unknown"


def test_garbage(shelf: UpdateRepository, tmp_path: Path) -> None:
    (shelf.metadata_folder / "timestamp.json").write_bytes(b"{}")
    assert refusal(shelf, tmp_path) == "malformed"


def test_nobody_answers(shelf: UpdateRepository, tmp_path: Path) -> None:
    with pytest.raises(UpdateUnreachableError, match="tried again"):
        client(shelf, "http://127.0.0.1:9", tmp_path).fetch(DIGEST)
    (shelf.metadata_folder / "timestamp.json").unlink()
    with serve_folder(shelf.folder) as url, pytest.raises(UpdateUnreachableError):
        client(shelf, url, tmp_path).fetch(DIGEST)


def test_metadata_of_a_role(shelf: UpdateRepository) -> None:
    targets = Metadata.from_file(str(shelf.metadata_folder / "2.targets.json")).signed
    assert targets.targets[target_path(DIGEST)].hashes == {"sha256": DIGEST}
