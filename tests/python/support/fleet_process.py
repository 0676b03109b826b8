# SPDX-License-Identifier: Apache-2.0
"""`edgeml fleet serve` as a process of its own, ended by its process id."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.child import ENVIRONMENT

START_TIMEOUT_S = 60


@dataclass
class FleetProcess:
    """A running fleet: its process, and what its ready file says."""

    process: subprocess.Popen[str]
    ready: dict[str, Any]

    @property
    def token(self) -> str:
        return Path(self.ready["token_file"]).read_text().strip()


def edgeml(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command line to its end."""
    return subprocess.run(
        [sys.executable, "-m", "edgeml.cli.main", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=cwd,
        env=ENVIRONMENT,
        check=False,
    )


@contextmanager
def fleet_process(config: Path, *arguments: object) -> Iterator[FleetProcess]:
    """Serve until the end of the block; by default with a broker inside, on free ports."""
    ready_file = config.with_name("ready.json")
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "edgeml.cli.main", "fleet", "serve", "--config", str(config)),
            *("--http-port", "0", "--ready-file", str(ready_file)),
            *map(str, arguments or ("--embedded-broker", "--mqtt-port", "0")),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
    )
    try:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not ready_file.exists():
            if process.poll() is not None or time.monotonic() > deadline:
                process.kill()
                raise RuntimeError(f"edgeml fleet serve did not start: {process.communicate()}")
            time.sleep(0.02)
        yield FleetProcess(process, json.loads(ready_file.read_text()))
    finally:
        process.kill()
        process.communicate()
