# SPDX-License-Identifier: Apache-2.0
"""Show what a device has spent of its privacy budget.

`edgeml privacy show STATE_DIR` reads the ledger of a state directory, also while the device runs: epsilon spent and
left for each UTC day. Burnt are releases that were charged and never stored, because the device stopped in between.
"""

from __future__ import annotations

import datetime as dt
import json
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

from edgeml.errors import DeviceError
from edgeml.privacy.budget import MICRO
from edgeml.privacy.ledger import DaySpent, read_days
from edgeml.telemetry.spool import SPOOL_FILE

if TYPE_CHECKING:
    import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's commands."""
    commands = parser.add_subparsers(dest="privacy_command", metavar="COMMAND", required=True)
    show = commands.add_parser("show", help="epsilon spent and left, for each day")
    show.add_argument("state_dir", type=Path, metavar="STATE_DIR", help="state directory of a device")
    show.add_argument("--json", action="store_true", help="one JSON document on stdout")


def run(args: argparse.Namespace) -> int:
    """Print the days; 0."""
    path = args.state_dir / SPOOL_FILE
    if not path.is_file():
        raise DeviceError(f"{args.state_dir} is no state directory of a device: it has no {SPOOL_FILE}")
    try:
        days = read_days(path)
    except sqlite3.Error as error:
        raise DeviceError(f"{path} cannot be read: {error}") from error
    if args.json:
        print(json.dumps({"state_dir": str(args.state_dir), "days": [_document(day) for day in days]}, indent=2))
    else:
        print(f"{'day (UTC)':12}{'spent':>12}{'left':>12}{'releases':>10}{'burnt':>7}")
        for day in days:
            spent, left = f"{day.spent_micro / MICRO:.6g}", f"{day.left_micro / MICRO:.6g}"
            print(f"{_date(day):12}{spent:>12}{left:>12}{day.releases:>10}{day.burnt:>7}")
    return 0


def _date(day: DaySpent) -> str:
    return str(dt.date(1970, 1, 1) + dt.timedelta(days=day.day))


def _document(day: DaySpent) -> dict[str, object]:
    return {
        "day": _date(day),
        "epsilon_spent": day.spent_micro / MICRO,
        "epsilon_left": day.left_micro / MICRO,
        "epsilon_budget": day.budget_micro / MICRO,
        "releases": day.releases,
        "burnt": day.burnt,
    }
