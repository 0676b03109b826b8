# SPDX-License-Identifier: Apache-2.0
"""A mosquitto as examples/mosquitto configures it: TLS, client certificates, the ACL file that is shipped."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgeml.telemetry.broker_address import BrokerAddress, TlsFiles
from support.mosquitto import Mosquitto
from support.needs import REPOSITORY, need_program

EXAMPLE = REPOSITORY / "examples" / "mosquitto"


class TlsBroker(Mosquitto):
    """Running or not; `folder` holds the certificates."""

    def __init__(self, folder: Path, *names: str) -> None:
        """Certificates for these names, and the example's configuration with a free port."""
        super().__init__(folder)
        need_program("openssl")
        self.folder = folder
        subprocess.run([EXAMPLE / "certificates.sh", "127.0.0.1", *names], cwd=folder, check=True)
        for path in folder.glob("*.key"):
            path.chmod(0o644)  # mosquitto that is started as root reads its files as the user mosquitto
        folder.chmod(0o755)
        shutil.copy(EXAMPLE / "acl", folder)
        text = (EXAMPLE / "mosquitto.conf").read_text()
        for file in ("cafile ca.pem", "certfile broker.pem", "keyfile broker.key", "acl_file acl"):
            word, name = file.split()
            text = text.replace(file, f"{word} {folder / name}")
        self._config.write_text(text.replace("listener 8883", f"listener {self.port} 127.0.0.1") + "user root\n")

    def tls(self, name: str) -> TlsFiles:
        """What the holder of a certificate needs."""
        return TlsFiles(
            ca=self.folder / "ca.pem", certificate=self.folder / f"{name}.pem", key=self.folder / f"{name}.key"
        )

    def address(self, name: str, port: int | None = None) -> BrokerAddress:
        return BrokerAddress(host="127.0.0.1", port=port or self.port, tls=self.tls(name))


@contextmanager
def tls_broker(folder: Path, *names: str) -> Iterator[TlsBroker]:
    """A running one."""
    broker = TlsBroker(folder, *names)
    broker.start()
    try:
        yield broker
    finally:
        broker.kill()
