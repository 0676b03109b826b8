# SPDX-License-Identifier: Apache-2.0
"""`Artifact`: the bytes of an `.edgeml` file and what they mean; saved so that a reader never meets half a file."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgeml.artifact import format as fmt
from edgeml.artifact.model import Content, Graph
from edgeml.artifact.reader import read
from edgeml.artifact.writer import write
from edgeml.errors import ArtifactError
from edgeml.whole_file import write_whole_file


class Artifact:
    """An int8 model ready for devices. Made by `edgeml.convert` or `Artifact.load`; immutable."""

    def __init__(self, data: bytes) -> None:
        """Check and take the bytes of a file. Raises ArtifactError where they are not a valid artifact."""
        self._data = data
        self._content = read(data)

    @classmethod
    def build(cls, content: Content) -> Artifact:
        """Encode a content. Raises ArtifactError where it breaks a rule of the format."""
        return cls(write(content))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Artifact:
        """Read a file. Raises ArtifactError, which names the file, where it cannot be read or is no valid artifact."""
        try:
            size = Path(path).stat().st_size
            if size > fmt.ARTIFACT_BYTES_MAX:
                raise ArtifactError(
                    f"{os.fspath(path)}: {size} bytes are more than an artifact can have; is it another file?"
                )
            data = Path(path).read_bytes()
        except OSError as error:
            raise ArtifactError(f"cannot read {os.fspath(path)}: {error.strerror}") from error
        try:
            return cls(data)
        except ArtifactError as error:
            raise ArtifactError(f"{os.fspath(path)}: {error}") from error

    @property
    def graph(self) -> Graph:
        """Tensors and nodes."""
        return self._content.graph

    @property
    def metadata(self) -> Mapping[str, Any]:
        """The JSON object of section 6 of the format: producer, source_sha256, options, name, opset, macs, ..."""
        return self._content.metadata

    @property
    def telemetry_bytes(self) -> bytes | None:
        """The telemetry schema (docs/design/wire.md, section 1) as JSON; None where the artifact carries none."""
        return self._content.telemetry

    @property
    def model_id(self) -> bytes:
        """The first 8 bytes of the SHA-256 of the file."""
        return hashlib.sha256(self._data).digest()[:8]

    def to_bytes(self) -> bytes:
        """The bytes of the file."""
        return self._data

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the file whole or not at all: a temporary file in the same folder, fsync, rename.

        Raises:
            ArtifactError: the disk is full, the folder is missing or not writable; nothing is left behind.
        """
        try:
            write_whole_file(path, self._data)
        except OSError as error:
            raise ArtifactError(
                f"cannot write {os.fspath(path)}: {error.strerror}; free space or choose another folder with -o"
            ) from error
