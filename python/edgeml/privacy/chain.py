# SPDX-License-Identifier: Apache-2.0
"""Hash chains: of the ledger (docs/design/wire.md, section 6) and of the fleet's audit log (docs/design/release.md).

Each entry's hash covers all entries before it. Two logs with the same hash at one number have the same entries up to it; a log
that was copied and went on twice has two different hashes from there on.
"""

from __future__ import annotations

import hashlib
from typing import Final

HASH_BYTES: Final = 32
_GENESIS: Final = b"edgeml ledger 1\0"


def genesis(epoch: bytes) -> bytes:
    """Hash before the first entry of the ledger of `epoch`."""
    return hashlib.sha256(_GENESIS + epoch).digest()


def entry_hash(previous: bytes, *fields: int) -> bytes:
    """Hash of an entry: SHA-256 over the previous hash and the fields, each as 8 bytes, big-endian, signed."""
    return linked(previous, b"".join(field.to_bytes(8, "big", signed=True) for field in fields))


def linked(previous: bytes, entry: bytes) -> bytes:
    """SHA-256 over the previous hash and an entry, whose bytes must tell where each of its fields ends."""
    return hashlib.sha256(previous + entry).digest()
