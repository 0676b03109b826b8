# SPDX-License-Identifier: Apache-2.0
"""Where the MQTT broker is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from edgeml.errors import UsageError

MQTT_PORT: Final = 1883


@dataclass(frozen=True, kw_only=True)
class BrokerAddress:
    """Host and TCP port."""

    host: str
    port: int = MQTT_PORT

    @classmethod
    def from_url(cls, url: str) -> BrokerAddress:
        """Read `mqtt://host[:port]`.

        Raises:
            UsageError: it is something else.
        """
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise UsageError(f"broker url {url!r}: {error}; write mqtt://host:1883") from error
        if parts.scheme != "mqtt" or not parts.hostname or parts.path.strip("/") or parts.username or parts.query:
            raise UsageError(f"broker url {url!r} is not mqtt://host:port")
        return cls(host=parts.hostname, port=MQTT_PORT if port is None else port)

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"
