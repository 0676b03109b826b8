# SPDX-License-Identifier: Apache-2.0
"""The Ed25519 key of a device, made when it is provisioned: the device signs with it, the fleet keeps its public half.

Text forms: `edgeml-device-key-1 BASE64` is the private key as it stands in a file that its owner alone can read,
`ed25519:BASE64` the public key as people hand it to the fleet.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
from typing import TYPE_CHECKING, Final

from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

from edgeml.errors import DeviceError, UsageError
from edgeml.whole_file import write_whole_file

if TYPE_CHECKING:
    from pathlib import Path

KEY_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64
PUBLIC_PREFIX: Final = "ed25519:"

_FILE_WORD: Final = "edgeml-device-key-1"


class DeviceKey:
    """A private key. `repr` shows the public half only."""

    def __init__(self, seed: bytes) -> None:
        """Use the key of this seed of KEY_BYTES bytes."""
        self._key = SigningKey(seed)
        self.public: Final = bytes(self._key.verify_key)

    def __repr__(self) -> str:
        return f"DeviceKey({public_key_text(self.public)})"

    @classmethod
    def create(cls, path: Path) -> DeviceKey:
        """Make a key from the system's randomness and keep it in a new file, mode 0600.

        Raises:
            DeviceError: the file exists, or cannot be written.
        """
        if path.exists():
            raise DeviceError(
                f"device key {path} exists; a device keeps its key, so remove it yourself to make another"
            )
        key = SigningKey.generate()
        text = f"{_FILE_WORD} {base64.b64encode(bytes(key)).decode()}\n"
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_whole_file(path, text.encode(), is_private=True)
        except OSError as error:
            raise DeviceError(f"device key {path} cannot be written: {error.strerror}") from error
        return cls(bytes(key))

    @classmethod
    def load(cls, path: Path) -> DeviceKey:
        """Read the key of a file.

        Raises:
            DeviceError: it cannot be read, or holds no key.
        """
        try:
            words = path.read_bytes().split()
        except OSError as error:
            raise DeviceError(f"device key {path}: {error.strerror}; edgeml device init makes one") from error
        if len(words) == 2 and words[0] == _FILE_WORD.encode():
            with contextlib.suppress(binascii.Error):
                seed = base64.b64decode(words[1], validate=True)
                if len(seed) == KEY_BYTES:
                    return cls(seed)
        raise DeviceError(f"{path} is not a device key; move it away, and edgeml device init makes one")

    @classmethod
    def load_or_create(cls, path: Path) -> DeviceKey:
        """Read the key of a file, or make one where there is no file."""
        return cls.load(path) if path.exists() else cls.create(path)

    def sign(self, data: bytes) -> bytes:
        """Signature of SIGNATURE_BYTES bytes."""
        return self._key.sign(data).signature


def is_signed_by(public: bytes, data: bytes, signature: bytes) -> bool:
    """Whether the holder of the private half of `public` signed exactly these bytes."""
    try:
        VerifyKey(public).verify(data, signature)
    except (BadSignatureError, ValueError):
        return False
    return True


def public_key_text(public: bytes) -> str:
    """`ed25519:BASE64`."""
    return PUBLIC_PREFIX + base64.b64encode(public).decode()


def parse_public_key(text: str) -> bytes:
    """Read what `public_key_text` wrote.

    Raises:
        UsageError: it is something else.
    """
    try:
        public = base64.b64decode(text.removeprefix(PUBLIC_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        public = b""
    if not text.startswith(PUBLIC_PREFIX) or len(public) != KEY_BYTES:
        raise UsageError(
            f"public key {text!r:.80} is not {PUBLIC_PREFIX} and 44 characters; edgeml device init prints it"
        )
    return public
