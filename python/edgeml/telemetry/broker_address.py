# SPDX-License-Identifier: Apache-2.0
"""Where the MQTT broker is, and how to speak to it: plain, or TLS with certificates on both sides."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from edgeml.errors import UsageError

PORT_OF_SCHEME: Final = {"mqtt": 1883, "mqtts": 8883}


@dataclass(frozen=True, kw_only=True)
class TlsFiles:
    """PEM files of a TLS connection: whom to trust (default: the system's authorities), and who we are.

    Raises:
        UsageError: a certificate without its key, or the other way round.
    """

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

    def __post_init__(self) -> None:
        if (self.certificate is None) != (self.key is None):
            raise UsageError("tls: a client certificate and its key go together; name both, or neither")

    def context(self) -> ssl.SSLContext:
        """TLS 1.2 or newer; the broker's certificate and host name are checked.

        Raises:
            UsageError: a file that cannot be read, or is no certificate or key.
        """
        try:
            context = ssl.create_default_context(cafile=self.ca)
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            if self.certificate is not None and self.key is not None:
                context.load_cert_chain(self.certificate, self.key, password="")
        except (OSError, ssl.SSLError) as error:
            files = ", ".join(str(file) for file in (self.ca, self.certificate, self.key) if file is not None)
            raise UsageError(f"tls: {files}: {error.strerror or error}") from error
        return context


@dataclass(frozen=True, kw_only=True)
class BrokerAddress:
    """Host and TCP port; `tls` is None for a plain connection."""

    host: str
    port: int = PORT_OF_SCHEME["mqtt"]
    tls: TlsFiles | None = None

    @classmethod
    def from_url(cls, url: str, tls: TlsFiles | None = None) -> BrokerAddress:
        """Read `mqtt://host[:port]`, or `mqtts://host[:port]` for TLS with the given files.

        Raises:
            UsageError: it is something else, or files are given and the URL is not mqtts.
        """
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise UsageError(f"broker url {url!r}: {error}; write mqtt://host:1883 or mqtts://host:8883") from error
        if (
            parts.scheme not in PORT_OF_SCHEME
            or not parts.hostname
            or parts.path.strip("/")
            or parts.username
            or parts.query
        ):
            raise UsageError(f"broker url {url!r} is not mqtt://host:port or mqtts://host:port")
        is_tls = parts.scheme == "mqtts"
        if tls is not None and not is_tls:
            raise UsageError(f"broker url {url!r}: certificates are named, so write mqtts://")
        return cls(
            host=parts.hostname,
            port=PORT_OF_SCHEME[parts.scheme] if port is None else port,
            tls=(tls or TlsFiles()) if is_tls else None,
        )

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"
