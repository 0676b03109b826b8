# SPDX-License-Identifier: Apache-2.0
"""The signed envelope of what a device sends (docs/design/wire.md, section 4): {1: message, 2: signature}.

The signature covers the topic too, so that a message cannot be sent again as another device's or on another channel.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import cbor2

from edgeml.errors import WireError
from edgeml.telemetry import strict_cbor
from edgeml.telemetry.device_key import SIGNATURE_BYTES, DeviceKey, is_signed_by
from edgeml.telemetry.messages import MESSAGE_BYTES_MAX

_DOMAIN: Final = b"edgeml envelope 1\0"


@dataclass(frozen=True, kw_only=True)
class Envelope:
    """A message as bytes, and who says so; not checked yet."""

    message: bytes
    signature: bytes

    def is_signed_by_any(self, publics: Iterable[bytes], topic: str) -> bool:
        """Whether one of these keys signed the message for this topic."""
        data = signed_bytes(topic, self.message)
        return any(is_signed_by(public, data, self.signature) for public in publics)


def signed_bytes(topic: str, message: bytes) -> bytes:
    """What the signature of an envelope covers."""
    return _DOMAIN + topic.encode() + b"\0" + message


def seal(topic: str, message: bytes, key: DeviceKey) -> bytes:
    """Payload for `topic`; the same message always gives the same bytes.

    Raises:
        WireError: longer than MESSAGE_BYTES_MAX.
    """
    payload: bytes = cbor2.dumps({1: message, 2: key.sign(signed_bytes(topic, message))}, canonical=True)
    if len(payload) > MESSAGE_BYTES_MAX:
        raise WireError(f"message has {len(payload)} bytes, at most {MESSAGE_BYTES_MAX} are allowed")
    return payload


def unseal(payload: bytes) -> Envelope:
    """Take a payload apart, without checking its signature.

    Raises:
        WireError: not an envelope, or longer than MESSAGE_BYTES_MAX.
    """
    document = strict_cbor.loads(payload, bytes_max=MESSAGE_BYTES_MAX)
    if not isinstance(document, dict) or not isinstance(document.get(1), bytes):
        raise WireError("not a signed envelope")
    signature = document.get(2)
    if not isinstance(signature, bytes) or len(signature) != SIGNATURE_BYTES:
        raise WireError(f"envelope: the signature must be {SIGNATURE_BYTES} bytes")
    return Envelope(message=document[1], signature=signature)
