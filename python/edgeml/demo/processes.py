# SPDX-License-Identifier: Apache-2.0
"""Child processes of the demo: JSON lines from them, words to them, and none of them outlives the demo."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from edgeml.errors import EdgemlError

TETHER: Final = Path(__file__).with_name("tether.py")
LOG_LINES_SHOWN: Final = 12  # of a process that died, in the error


class ProcessDiedError(EdgemlError):
    """A child process ended before it was asked to."""


class Process:
    """One child process in a process group of its own; its standard error goes to `log`.

    Its standard output is JSON, one object a line; the newest object of each `event` is kept. Start it in a thread that
    lives as long as the demo: the tether is to that thread.
    """

    def __init__(self, name: str, command: Sequence[str], log: Path) -> None:
        self.name = name
        self.log = log
        self._newest: dict[str, dict[str, Any]] = {}
        with log.open("ab") as stderr:
            self._popen = subprocess.Popen(  # noqa: S603  this interpreter, our own modules
                [sys.executable, "-I", "-S", str(TETHER), str(os.getpid()), *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                start_new_session=True,  # Ctrl-C reaches the demo alone, which then ends its processes in order
            )
        self._reader = threading.Thread(target=self._read, name=f"stdout of {name}", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """Process id, which is also the id of the process group."""
        return self._popen.pid

    def newest(self, event: str) -> dict[str, Any] | None:
        """Return the last object with this `event` that the process wrote, or None."""
        return self._newest.get(event)

    def say(self, word: str) -> None:
        """Write one line to the process; a process that is gone hears nothing, check_alive() tells."""
        assert self._popen.stdin is not None  # noqa: S101  opened above
        with contextlib.suppress(BrokenPipeError, ValueError):  # ValueError: closed on this side
            self._popen.stdin.write(f"{word}\n".encode())
            self._popen.stdin.flush()

    def close_input(self) -> None:
        """End the process's standard input: the demo's way to say that the work is over."""
        assert self._popen.stdin is not None  # noqa: S101  opened above
        with contextlib.suppress(BrokenPipeError):
            self._popen.stdin.close()

    def check_alive(self) -> None:
        """Raise if the process has ended.

        Raises:
            ProcessDiedError: with the last lines of its log.
        """
        code = self._popen.poll()
        if code is not None:
            raise ProcessDiedError(f"{self.name} ended by itself with code {code}: {self.last_lines()}")

    def last_lines(self) -> str:
        """Return the end of the log as one text."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return " | ".join(lines[-LOG_LINES_SHOWN:]) or "it wrote nothing"

    def wait(self, timeout_s: float) -> int | None:
        """Return the exit code and all that was written to standard output is read, or None after the timeout."""
        try:
            code = self._popen.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None
        self._reader.join(timeout_s)
        return code

    def end(self, grace_s: float) -> None:
        """End the process and whatever it started: SIGTERM, then SIGKILL to the group after the grace time."""
        if self._popen.poll() is None:
            self._popen.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._popen.wait(grace_s)
        with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS: EPERM for a group of zombies
            os.killpg(self.pid, signal.SIGKILL)
        self._popen.wait()
        self._reader.join(grace_s)
        for stream in (self._popen.stdin, self._popen.stdout):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()

    def _read(self) -> None:
        assert self._popen.stdout is not None  # noqa: S101  opened above
        for line in self._popen.stdout:
            with contextlib.suppress(ValueError):  # a library may print; what it says is no message
                message = json.loads(line)
                if isinstance(message, dict) and isinstance(message.get("event"), str):
                    self._newest[message["event"]] = message
