# SPDX-License-Identifier: Apache-2.0
"""What came in from the broker, its signature and form checked: a message to store, or a rejection to keep aside."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from edgeml.errors import WireError
from edgeml.telemetry import codec, envelope
from edgeml.telemetry.messages import Ack, Message, Report
from edgeml.telemetry.topics import Topic, parse_topic

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Sums over a period must stay below 2^63; no device counts or merges this much.
COUNT_ABS_MAX: Final = 2**40
MERGED_MAX: Final = 2**31

Keys = Callable[[str, str], Sequence[bytes]]  # tenant, device -> its public keys


@dataclass(frozen=True, kw_only=True)
class Received:
    """A message that keeps wire.md. `counts` has the vector of each window of a report, in order."""

    topic: Topic
    message: Message
    payload: bytes
    retained: bool = False  # the broker repeats it from memory: not a sign of life
    counts: tuple[NDArray[np.int64], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Rejected:
    """A message that does not, and the sentence why."""

    topic: str
    payload: bytes
    reason: str


def read_message(topic_text: str, payload: bytes, keys: Keys, *, retained: bool = False) -> Received | Rejected | None:
    """Read one MQTT message; None for a retained message that was cleared (empty). Never raises on bad input."""
    try:
        topic = parse_topic(topic_text)
        if not payload and topic.channel in ("birth", "lwt"):
            return None
        message = codec.decode(topic.channel, _signed_message(topic, payload, keys))
        counts = _counts_of(message)
    except WireError as error:
        return Rejected(topic=topic_text, payload=payload, reason=str(error))
    return Received(topic=topic, message=message, payload=payload, retained=retained, counts=counts)


def _signed_message(topic: Topic, payload: bytes, keys: Keys) -> bytes:
    sealed = envelope.unseal(payload)
    publics = keys(topic.tenant, topic.device)
    if not publics:
        raise WireError(f"device {topic.tenant}/{topic.device} is not provisioned")
    if not sealed.is_signed_by_any(publics, str(topic)):
        raise WireError("the signature is not that of the device for this topic and message")
    return sealed.message


def _counts_of(message: Message) -> tuple[NDArray[np.int64], ...]:
    if isinstance(message, Ack):
        raise WireError("an ack comes from the fleet, not from a device")
    if not isinstance(message, Report):
        return ()
    vectors = tuple(window.counts for window in message.windows)
    everything = np.concatenate(vectors) if vectors else np.zeros(0, dtype=np.int64)
    if everything.size and max(int(everything.max()), -int(everything.min())) > COUNT_ABS_MAX:
        raise WireError(f"a count of windows {message.windows[0].seq} to {message.windows[-1].seq} is beyond +-2^40")
    for window in message.windows:
        if window.merged > MERGED_MAX:
            raise WireError(f"window {window.seq}: {window.merged} windows merged, at most 2^31 are allowed")
    return vectors
