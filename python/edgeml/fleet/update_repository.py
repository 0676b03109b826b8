# SPDX-License-Identifier: Apache-2.0
"""The signed shelf of models that devices fetch from: TUF metadata and content-addressed artifacts (docs/design/release.md).

    updates/metadata/N.root.json N.targets.json N.snapshot.json timestamp.json
    updates/targets/models/SHA256.SHA256.edgeml
    updates/keys/targets.key snapshot.key timestamp.key      of the fleet
    updates/offline/root.key                                 to be moved to a safe place; needed only to change keys

Nothing is ever taken away. Each model carries a serial, the version of the targets that last put it forward; a device
refuses a serial below the highest that it has run. So going back on purpose is a new version of the targets, which puts the old
hash forward again.
"""

from __future__ import annotations

import fcntl
import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Final

from tuf.api.metadata import Metadata, MetaFile, Root, Snapshot, TargetFile, Targets, Timestamp
from tuf.api.serialization.json import JSONSerializer

from edgeml.errors import FleetError
from edgeml.fleet.signing_key import Ed25519Signer, load_key, make_key
from edgeml.whole_file import write_whole_file

ONLINE_ROLES: Final = ("targets", "snapshot", "timestamp")
LIFETIME: Final = {  # after it a device takes the metadata for frozen
    "root": timedelta(days=365),
    "targets": timedelta(days=365),
    "snapshot": timedelta(days=7),
    "timestamp": timedelta(days=1),
}
REFRESH_BEFORE: Final = timedelta(hours=12)


class UpdateRepository:
    """The repository in one folder; several processes may use it, one writes at a time."""

    def __init__(self, folder: Path) -> None:
        """Name the folder; `create` fills it."""
        self.folder = folder
        self.metadata_folder: Final = folder / "metadata"
        self.targets_folder: Final = folder / "targets"

    @property
    def exists(self) -> bool:
        """Whether it was created."""
        return (self.metadata_folder / "timestamp.json").exists()

    def create(self, now_s: float) -> None:
        """Make keys and the first metadata.

        Raises:
            FleetError: the folder cannot be written, or is not empty.
        """
        try:
            for name in ("metadata", "targets/models", "keys", "offline"):
                (self.folder / name).mkdir(
                    parents=True, exist_ok=True, mode=0o700 if name in ("keys", "offline") else 0o755
                )
        except OSError as error:
            raise FleetError(f"update repository {self.folder}: {error.strerror}") from error
        with self._writing():
            if self.exists:
                return
            root_key = make_key(self.folder / "offline" / "root.key")
            keys = {role: make_key(self._key_path(role)) for role in ONLINE_ROLES}
            root = Root(expires=_expiry("root", now_s), consistent_snapshot=True)
            for role, key in {"root": root_key, **keys}.items():
                root.add_key(key.public_key, role)
            self._write("1.root.json", Metadata(root), root_key)
            self._write("1.targets.json", Metadata(Targets(expires=_expiry("targets", now_s))), keys["targets"])
            self._publish(1, 1, now_s)

    def root_bytes(self) -> bytes:
        """The first root: what a device is given when it is set up, and trusts from then on."""
        return (self.metadata_folder / "1.root.json").read_bytes()

    def put_forward(self, artifact: bytes, custom: Mapping[str, Any], now_s: float) -> int:
        """Shelve an artifact, or put one forward again; gives its serial.

        custom: what the signature covers beside the bytes, such as name and card.

        Raises:
            FleetError: a key is missing, or the folder cannot be written.
        """
        with self._writing():
            targets = self._load("targets")
            digest = hashlib.sha256(artifact).hexdigest()
            path = target_path(digest)
            folder, _, name = path.rpartition("/")
            self._write_file(self.targets_folder / folder / f"{digest}.{name}", artifact)
            targets.signed.version += 1
            serial = int(targets.signed.version)
            entry = {**custom, "serial": serial}
            targets.signed.targets[path] = TargetFile(len(artifact), {"sha256": digest}, path, {"custom": entry})
            self._publish_targets(targets, now_s)
            return serial

    def put_forward_again(self, digest: str, now_s: float) -> int:
        """Make going to a model that is on the shelf allowed again: the serial of its hash becomes the newest.

        Raises:
            FleetError: no such model, or as put_forward.
        """
        with self._writing():
            targets = self._load("targets")
            target = targets.signed.targets.get(target_path(digest))
            if target is None:
                raise FleetError(f"model {digest[:16]} is not in the update repository; push it")
            targets.signed.version += 1
            serial = int(targets.signed.version)
            target.unrecognized_fields["custom"]["serial"] = serial
            self._publish_targets(targets, now_s)
            return serial

    def custom_of(self, digest: str) -> dict[str, Any] | None:
        """What is signed about a model; None where it is not on the shelf."""
        target = self._load("targets").signed.targets.get(target_path(digest))
        return None if target is None else dict(target.custom or {})

    def refresh(self, now_s: float) -> bool:
        """Sign what ends soon anew, but the root; gives whether anything did. To be called now and then."""
        soon = _time(now_s) + REFRESH_BEFORE
        if all(self._load(role).signed.expires > soon for role in ONLINE_ROLES):
            return False
        with self._writing():
            targets = self._load("targets")
            if targets.signed.expires <= soon:
                targets.signed.version += 1
                self._publish_targets(targets, now_s)
                return True
            self._publish(targets.signed.version, self._load("snapshot").signed.version + 1, now_s)
        return True

    def _publish_targets(self, targets: Metadata[Targets], now_s: float) -> None:
        targets.signed.expires = _expiry("targets", now_s)
        self._write(f"{targets.signed.version}.targets.json", targets, load_key(self._key_path("targets")))
        self._publish(targets.signed.version, self._load("snapshot").signed.version + 1, now_s)

    def _publish(self, targets_version: int, snapshot_version: int, now_s: float) -> None:
        """Snapshot, then timestamp: a reader sees the old state or the new one."""
        snapshot = Snapshot(snapshot_version, expires=_expiry("snapshot", now_s))
        snapshot.meta["targets.json"] = self._meta_file(f"{targets_version}.targets.json", targets_version)
        name = f"{snapshot_version}.snapshot.json"
        self._write(name, Metadata(snapshot), load_key(self._key_path("snapshot")))
        version = self._load("timestamp").signed.version + 1 if self.exists else 1
        timestamp = Timestamp(version, expires=_expiry("timestamp", now_s))
        timestamp.snapshot_meta = self._meta_file(name, snapshot_version)
        self._write("timestamp.json", Metadata(timestamp), load_key(self._key_path("timestamp")))

    def _meta_file(self, name: str, version: int) -> MetaFile:
        data = (self.metadata_folder / name).read_bytes()
        return MetaFile(version, len(data), {"sha256": hashlib.sha256(data).hexdigest()})

    def _load(self, role: str) -> Metadata[Any]:
        """The newest metadata of a role, found from the timestamp on."""
        try:
            loaded: Metadata[Any] = Metadata.from_file(str(self.metadata_folder / "timestamp.json"))
            if role != "timestamp":
                version = loaded.signed.snapshot_meta.version
                loaded = Metadata.from_file(str(self.metadata_folder / f"{version}.snapshot.json"))
            if role == "targets":
                version = loaded.signed.meta["targets.json"].version
                loaded = Metadata.from_file(str(self.metadata_folder / f"{version}.targets.json"))
        except Exception as error:
            raise FleetError(f"update repository {self.folder}: its {role} cannot be read: {error}") from error
        return loaded

    def _write(self, name: str, metadata: Metadata[Any], key: Ed25519Signer) -> None:
        metadata.sign(key)
        self._write_file(self.metadata_folder / name, metadata.to_bytes(JSONSerializer(compact=True)))

    def _write_file(self, path: Path, data: bytes) -> None:
        try:
            write_whole_file(path, data)
        except OSError as error:
            raise FleetError(f"update repository: cannot write {path}: {error.strerror}") from error

    def _key_path(self, role: str) -> Path:
        return self.folder / "keys" / f"{role}.key"

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """One writer at a time, over all processes."""
        with (self.folder / "lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def target_path(digest: str) -> str:
    """Path of a model in the targets: its SHA-256."""
    return f"models/{digest}.edgeml"


def _time(now_s: float) -> datetime:
    return datetime.fromtimestamp(int(now_s), timezone.utc)


def _expiry(role: str, now_s: float) -> datetime:
    return _time(now_s) + LIFETIME[role]
