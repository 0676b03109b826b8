# SPDX-License-Identifier: Apache-2.0
"""Ed25519 keys of the update metadata, through libsodium: a private key in a file of its owner's, and a signer for TUF."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any, Final

from nacl.signing import SigningKey
from securesystemslib.signer import Key, SecretsHandler, Signature, Signer, SSlibKey

from edgeml.errors import FleetError

SEED_BYTES: Final = 32


class Ed25519Signer(Signer):
    """Signs with one key."""

    def __init__(self, key: SigningKey) -> None:
        self._key = key
        public = key.verify_key.encode().hex()
        keyid = hashlib.sha256(f"edgeml ed25519 {public}".encode()).hexdigest()
        self._public_key = SSlibKey(keyid, "ed25519", "ed25519", {"public": public})

    @property
    def public_key(self) -> SSlibKey:
        """What others verify with."""
        return self._public_key

    def sign(self, payload: bytes) -> Signature:
        """Sign bytes."""
        return Signature(self._public_key.keyid, self._key.sign(payload).signature.hex())

    @classmethod
    def from_priv_key_uri(
        cls, priv_key_uri: str, public_key: Key, secrets_handler: SecretsHandler | None = None
    ) -> Any:
        """Keys come from files here, not from addresses."""
        raise NotImplementedError


def make_key(path: Path) -> Ed25519Signer:
    """Make a new key in a new file that only its owner can read.

    Raises:
        FleetError: the file is there already, or cannot be written.
    """
    key = SigningKey.generate()
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(key.encode().hex() + "\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise FleetError(f"cannot write the signing key {path}: {error.strerror}") from error
    return Ed25519Signer(key)


def load_key(path: Path) -> Ed25519Signer:
    """Read the key of a file that make_key wrote.

    Raises:
        FleetError: the file cannot be read, or holds no key.
    """
    try:
        return Ed25519Signer(SigningKey(bytes.fromhex(path.read_text(encoding="ascii").strip())))
    except OSError as error:
        raise FleetError(f"cannot read the signing key {path}: {error.strerror}") from error
    except ValueError as error:
        raise FleetError(f"{path} is not a signing key: {2 * SEED_BYTES} hexadecimal digits") from error
