# SPDX-License-Identifier: Apache-2.0
"""MQTT topic names (docs/design/wire.md, section 3)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from edgeml.errors import UsageError, WireError

PREFIX: Final = "edgeml/v1"
DIRECTION_OF_CHANNEL: Final = {"birth": "up", "tel": "up", "evt": "up", "lwt": "up", "ack": "down", "want": "down"}
UP_FILTER: Final = f"{PREFIX}/+/+/up/#"  # what a collector subscribes to
RETAINED_CHANNELS: Final = ("birth", "lwt")  # of those that devices send; `want` is retained too

_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")


@dataclass(frozen=True, kw_only=True)
class Topic:
    """One topic, taken apart: `channel` is birth, tel, evt, lwt, ack or want."""

    tenant: str
    device: str
    channel: str

    def __str__(self) -> str:
        return f"{PREFIX}/{self.tenant}/{self.device}/{DIRECTION_OF_CHANNEL[self.channel]}/{self.channel}"


def topic(tenant: str, device: str, channel: str) -> str:
    """Topic name of a channel of one device.

    Raises:
        UsageError: tenant or device is not 1 to 64 of `a-z A-Z 0-9 . _ -`, or the channel is unknown.
    """
    check_names(tenant, device)
    if channel not in DIRECTION_OF_CHANNEL:
        raise UsageError(f"channel {channel!r} is none of {', '.join(DIRECTION_OF_CHANNEL)}")
    return str(Topic(tenant=tenant, device=device, channel=channel))


def parse_topic(text: str) -> Topic:
    """Take a topic apart.

    Raises:
        WireError: not a topic of section 3.
    """
    parts = text.split("/")
    if len(parts) == 6 and "/".join(parts[:2]) == PREFIX and is_name(parts[2]) and is_name(parts[3]):
        found = Topic(tenant=parts[2], device=parts[3], channel=parts[5])
        if DIRECTION_OF_CHANNEL.get(found.channel) == parts[4]:
            return found
    raise WireError(f"topic {text!r:.200} is not edgeml/v1/tenant/device/up|down/channel")


def check_names(tenant: str, device: str) -> None:
    """Raise UsageError unless tenant and device can stand in a topic."""
    for what, name in (("tenant", tenant), ("device", device)):
        if not is_name(name):
            raise UsageError(f"{what} {name!r:.80} must be 1 to 64 of a-z A-Z 0-9 . _ -")


def is_name(name: str) -> bool:
    """Whether `name` can be a tenant or a device."""
    return isinstance(name, str) and _NAME.fullmatch(name) is not None
