# SPDX-License-Identifier: Apache-2.0
"""The device's side of the update repository: fetches a model that the fleet has signed, or says why it refuses to.

The rules are those of The Update Framework, kept by its own client; here are the transport and one word per refusal.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from http.client import HTTPException
from typing import TYPE_CHECKING, Any, Final
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from tuf.api import exceptions as tuf_errors
from tuf.ngclient import FetcherInterface, Updater, UpdaterConfig

from edgeml.errors import DeviceError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ARTIFACT_BYTES_MAX: Final = 1 << 30
METADATA_BYTES_MAX: Final = 5_000_000
ANSWER_TIMEOUT_S: Final = 20.0
CHUNK_BYTES: Final = 64 << 10

# What TUF raises -> the word that the fleet is told; the first that fits counts.
REFUSALS: Final[tuple[tuple[type[Exception], str], ...]] = (
    (tuf_errors.ExpiredMetadataError, "freeze"),
    (tuf_errors.BadVersionNumberError, "rollback"),
    (tuf_errors.UnsignedMetadataError, "wrong key"),
    (tuf_errors.LengthOrHashMismatchError, "tampered"),
    (tuf_errors.DownloadLengthMismatchError, "endless data"),
    (tuf_errors.RepositoryError, "malformed"),
)


class UpdateRefusedError(DeviceError):
    """What the repository gave is not to be trusted; `reason` is a word of REFUSALS."""

    def __init__(self, reason: str, sentence: str) -> None:
        super().__init__(f"update refused, {reason}: {sentence}")
        self.reason = reason


class UpdateUnreachableError(DeviceError):
    """The repository does not answer; to be tried again."""


@dataclass(frozen=True, kw_only=True)
class FetchedModel:
    """An artifact whose bytes the fleet has signed."""

    data: bytes
    digest: str  # SHA-256, hexadecimal
    serial: int


class Repository:
    """One repository at `url`, trusted from `root` on; what was seen of it is kept in `folder`."""

    def __init__(self, url: str, *, root: bytes, folder: Path, token: str = "") -> None:
        self._url = url.rstrip("/")
        self._root = root
        self._folder = folder
        self._fetcher = _Fetcher(token)

    def fetch(self, digest: str) -> FetchedModel:
        """Fetch the model of this SHA-256.

        Raises:
            UpdateRefusedError: an attack, or a repository that is broken.
            UpdateUnreachableError: no answer.
            DeviceError: `folder` cannot be written.
        """
        try:
            return self._fetch(digest)
        except tuple(kind for kind, _ in REFUSALS) as error:
            word = next(word for kind, word in REFUSALS if isinstance(error, kind))
            raise UpdateRefusedError(word, str(error)) from error
        except tuf_errors.DownloadError as error:
            raise UpdateUnreachableError(f"update repository {self._url}: {error}; it is tried again") from error
        except OSError as error:
            raise DeviceError(f"update folder {self._folder}: {error.strerror}; free some space on it") from error

    def _fetch(self, digest: str) -> FetchedModel:
        metadata, downloads = self._folder / "metadata", self._folder / "downloads"
        for folder in (metadata, downloads):
            folder.mkdir(parents=True, exist_ok=True)
        updater = Updater(
            str(metadata),
            f"{self._url}/metadata/",
            str(downloads),
            f"{self._url}/targets/",
            fetcher=self._fetcher,
            config=UpdaterConfig(targets_max_length=METADATA_BYTES_MAX),
            bootstrap=self._root,
        )
        try:
            updater.refresh()
        except tuf_errors.LengthOrHashMismatchError as error:  # metadata that do not belong together
            raise UpdateRefusedError("mix-and-match", str(error)) from error
        target = updater.get_targetinfo(f"models/{digest}.edgeml")
        serial = (target.custom or {}).get("serial") if target is not None else None
        if target is None or not isinstance(serial, int):
            raise UpdateRefusedError("unknown", f"model {digest[:16]} is not among the signed ones")
        if target.length > ARTIFACT_BYTES_MAX:
            raise UpdateRefusedError("endless data", f"a model of {target.length} bytes")
        path = downloads / "model"
        try:
            updater.download_target(target, str(path))
            data = path.read_bytes()
        finally:
            path.unlink(missing_ok=True)
        if hashlib.sha256(data).hexdigest() != digest:
            raise UpdateRefusedError("tampered", f"the bytes of model {digest[:16]} are others")
        return FetchedModel(data=data, digest=digest, serial=serial)


class _Fetcher(FetcherInterface):
    """HTTP with the token of the device; no more is read than the caller takes."""

    def __init__(self, token: str) -> None:
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def _fetch(self, url: str) -> Iterator[bytes]:
        request = Request(url, headers=self._headers)  # noqa: S310 - the address of the device's configuration
        try:
            answer: Any = urlopen(request, timeout=ANSWER_TIMEOUT_S)  # noqa: S310
        except HTTPError as error:
            raise tuf_errors.DownloadHTTPError(f"{url}: {error}", error.code) from error
        return _chunks(answer)


def _chunks(answer: Any) -> Iterator[bytes]:
    with answer:
        try:
            while chunk := answer.read(CHUNK_BYTES):
                yield chunk
        except (OSError, HTTPException) as error:
            raise tuf_errors.DownloadError(str(error)) from error
        if answer.length:  # read() says nothing of it; what is missing is no attack
            raise tuf_errors.DownloadError(f"the connection ended {answer.length} bytes early")
