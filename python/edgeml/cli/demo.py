# SPDX-License-Identifier: Apache-2.0
"""See the whole loop in a minute, with nothing but this machine.

A small network for real handwritten digits becomes int8. A fleet with its broker and five devices start, each a process
of its own, and report privately over MQTT. Then two cameras get worse, and the fleet finds out which.

    edgeml demo                        the story and its figures
    edgeml demo --keep                 and the dashboard stays open until Ctrl-C
    edgeml demo --json > demo.json     for machines; exit code 1 if a promise does not hold
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import signal
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rich.console import Console

from edgeml.demo.progress import Progress
from edgeml.demo.scenario import DEVICES_MAX, DEVICES_MIN, Options, play
from edgeml.errors import EdgemlError, UsageError

if TYPE_CHECKING:
    from edgeml.demo.fleet import Fleet

EXIT_OK: Final = 0
EXIT_FAILED: Final = 1
WIDTH_OF_FILES: Final = 140


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `edgeml demo`."""
    parser.add_argument(
        "--devices", type=int, default=5, metavar="N", help=f"{DEVICES_MIN} to {DEVICES_MAX}, default 5; two drift"
    )
    parser.add_argument(
        "--dashboard",
        type=Path,
        default=Path("edgeml-demo.html"),
        metavar="PATH",
        help="where the dashboard's page goes, default edgeml-demo.html",
    )
    parser.add_argument("--keep", action="store_true", help="serve the dashboard until Ctrl-C, print its address")
    parser.add_argument("--work", type=Path, metavar="DIR", help="new folder for store, logs, devices; it is kept")
    parser.add_argument("--json", action="store_true", help="print one JSON document and nothing else")


def run(args: argparse.Namespace) -> int:
    """Play the demo; returns 0 if every promise holds, 1 if one does not."""
    options = Options(dashboard=args.dashboard.resolve(), devices=args.devices)
    with ExitStack() as stack:
        work = _work_folder(args.work, stack)
        for number in (signal.SIGTERM, signal.SIGHUP):  # as with Ctrl-C: the processes end first
            signal.signal(number, signal.default_int_handler)
        try:
            with Progress() as progress:
                summary, fleet = play(options, work, progress, stack)
        except EdgemlError as error:  # a process that died, a wait without end: the demo failed, not its usage
            print(f"edgeml: {error}", file=sys.stderr)
            return EXIT_FAILED
        if args.keep:
            summary = dataclasses.replace(summary, dashboard_url=fleet.url, token=fleet.token)
        if args.json:
            print(json.dumps(summary.document(), indent=1), flush=True)
        else:
            summary.print(_console())
        if args.keep:
            _serve_until_interrupt(fleet)
    return EXIT_OK if summary.passed else EXIT_FAILED


def _work_folder(chosen: Path | None, stack: ExitStack) -> Path:
    """Return a new folder: a temporary one, or the chosen one, which stays."""
    if chosen is None:
        return Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="edgeml-demo-")))
    try:
        chosen.mkdir()
    except OSError as error:
        raise UsageError(f"--work {chosen}: {error.strerror}; name a folder that is not there yet") from error
    return chosen.resolve()


def _console() -> Console:
    return Console() if sys.stdout.isatty() else Console(width=WIDTH_OF_FILES)


def _serve_until_interrupt(fleet: Fleet) -> None:
    """Say where the dashboard is, and wait for Ctrl-C; an end of the fleet ends the waiting too."""
    print(f"\nThe dashboard stays open until Ctrl-C: {fleet.address_with_token}", file=sys.stderr, flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            time.sleep(1)
            fleet.check_alive()
