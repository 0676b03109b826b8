# SPDX-License-Identifier: Apache-2.0
"""What the fleet wants of a device: a model, and how to try it (docs/design/wire.md, section 7).

It names a model by its hash and no more: whether that hash may run is for the signed update metadata to say.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import cbor2

from edgeml.errors import WireError
from edgeml.telemetry import strict_cbor
from edgeml.telemetry.messages import WIRE_VERSION, check_uint

WANT_BYTES_MAX: Final = 4096
DIGEST_BYTES: Final = 32
PPM: Final = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Want:
    """A wanted model. Shares are parts per million, the latency ratio is in thousandths, times are in seconds."""

    rollout: int
    digest: bytes  # SHA-256 of the artifact
    is_back: bool = False  # the rollout is taken back: without shadow and probation
    shadow_inferences: int = 0
    shadow_disagreement_ppm: int = PPM
    probation_inferences: int = 1
    probation_s: int = 0
    latency_ratio_milli: int = 100_000
    error_ppm: int = PPM

    def __post_init__(self) -> None:
        check_uint(self.rollout, "rollout", least=1)
        if not isinstance(self.digest, bytes) or len(self.digest) != DIGEST_BYTES:
            raise WireError(f"digest must be {DIGEST_BYTES} bytes")
        if not isinstance(self.is_back, bool):
            raise WireError("is_back must be true or false")
        check_uint(self.shadow_inferences, "shadow inferences")
        check_uint(self.shadow_disagreement_ppm, "shadow disagreement", most=PPM)
        check_uint(self.probation_inferences, "probation inferences", least=1)
        check_uint(self.probation_s, "seconds of probation")
        check_uint(self.latency_ratio_milli, "latency ratio", least=1000)
        check_uint(self.error_ppm, "error share", most=PPM)


# Key 1 is the wire version; the fields follow from key 2 in this order.
_FIELDS: Final = (
    *("rollout", "digest", "is_back", "shadow_inferences", "shadow_disagreement_ppm"),
    *("probation_inferences", "probation_s", "latency_ratio_milli", "error_ppm"),
)


def encode_want(want: Want) -> bytes:
    """Bytes of a want; the same want always gives the same bytes."""
    document = {1: WIRE_VERSION} | {key: getattr(want, name) for key, name in enumerate(_FIELDS, start=2)}
    payload: bytes = cbor2.dumps(document, canonical=True)
    return payload


def decode_want(payload: bytes) -> Want:
    """Read a want.

    Raises:
        WireError: malformed in any way.
    """
    document: Any = strict_cbor.loads(payload, bytes_max=WANT_BYTES_MAX)
    if not isinstance(document, dict) or document.get(1) != WIRE_VERSION:
        raise WireError(f"want: not a map of wire version {WIRE_VERSION}")
    if missing := [name for key, name in enumerate(_FIELDS, start=2) if key not in document]:
        raise WireError(f"want: {missing[0]} is missing")
    return Want(**{name: document[key] for key, name in enumerate(_FIELDS, start=2)})
