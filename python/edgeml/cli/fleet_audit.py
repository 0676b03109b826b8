# SPDX-License-Identifier: Apache-2.0
"""`edgeml fleet audit`: show the log, print its head to be kept elsewhere, verify it."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from typing import Final

from edgeml.fleet import audit
from edgeml.fleet.config import FleetConfig
from edgeml.fleet.dashboard import texts
from edgeml.fleet.store.engine import open_store, reading

SHOWN: Final = 50


def add_verbs(parser: argparse.ArgumentParser, add_config: Callable[[argparse.ArgumentParser], None]) -> None:
    """Declare show, head and verify."""
    verbs = parser.add_subparsers(dest="audit_verb", metavar="VERB", required=True)
    for name, summary, answer in (
        ("show", f"print the newest {SHOWN} entries", _show),
        ("head", "print NUMBER:HEX of the last entry: keep it elsewhere, and verify against it later", _head),
        ("verify", "recompute every hash; exit 1 if a byte was changed or an entry is gone", _verify),
    ):
        verb = verbs.add_parser(name, help=summary, description=summary)
        add_config(verb)
        verb.add_argument("--json", action="store_true", help="print one JSON document and nothing else")
        if name == "verify":
            verb.add_argument(
                "--head",
                type=audit.Head.from_text,
                action="append",
                default=[],
                metavar="NUMBER:HEX",
                help="a head that was kept elsewhere: finds a tail that was cut off; may be repeated",
            )
        verb.set_defaults(answer=answer)


def _show(config: FleetConfig, args: argparse.Namespace) -> int:
    with reading(open_store(config.store_url, create=False)) as connection:
        log = audit.entries(connection, newest=SHOWN)
    if args.json:
        rows = [{**vars(entry), "detail": json.loads(entry.detail), "hash": entry.hash.hex()} for entry in log]
        print(json.dumps({"entries": rows}, indent=1))
    else:
        for entry in log:
            print(
                f"{entry.number:6d}  {texts.clock(entry.time_s)}  {entry.actor}  {entry.kind}  {entry.subject}  {entry.detail}"
            )
    return 0


def _head(config: FleetConfig, args: argparse.Namespace) -> int:
    with reading(open_store(config.store_url, create=False)) as connection:
        head = audit.stored_head(connection)
    print(json.dumps({"number": head.number, "hash": head.hash.hex()}) if args.json else head)
    return 0


def _verify(config: FleetConfig, args: argparse.Namespace) -> int:
    with reading(open_store(config.store_url, create=False)) as connection:
        log, head = audit.entries(connection), audit.stored_head(connection)
    problem = audit.verify(log, head, *args.head)
    if args.json:
        print(
            json.dumps(
                {"intact": problem is None, "entries": len(log), "head": str(head), "problem": problem}, indent=1
            )
        )
    else:
        print(problem or f"{len(log)} entries, none changed or missing; head {head}")
    return 0 if problem is None else 1
