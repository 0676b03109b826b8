# SPDX-License-Identifier: Apache-2.0
"""`edgeml fleet token`: who may use dashboard and API; add, list, revoke."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import asdict

from edgeml.cli.operator import operator
from edgeml.fleet import audit
from edgeml.fleet.config import FleetConfig
from edgeml.fleet.dashboard import texts
from edgeml.fleet.store.engine import open_store, reading, writing
from edgeml.fleet.tokens import ROLES, add_token, list_tokens, revoke_token


def add_verbs(parser: argparse.ArgumentParser, add_config: Callable[[argparse.ArgumentParser], None]) -> None:
    """Declare add, list and revoke."""
    verbs = parser.add_subparsers(dest="token_verb", metavar="VERB", required=True)
    for name, summary, answer in (
        ("add", "make a token and print it once; the store keeps its hash", _add),
        ("list", "list names, roles and times", _list),
        ("revoke", "make a token useless from now on", _revoke),
    ):
        verb = verbs.add_parser(name, help=summary, description=summary)
        add_config(verb)
        verb.add_argument("--json", action="store_true", help="print one JSON document and nothing else")
        if name != "list":
            verb.add_argument("name", metavar="NAME", help="whose it is")
        if name == "add":
            verb.add_argument("--role", choices=ROLES, default=ROLES[0], help=f"default: {ROLES[0]}")
        verb.set_defaults(answer=answer)


def _add(config: FleetConfig, args: argparse.Namespace) -> int:
    now_s = int(time.time())
    with writing(open_store(config.store_url)) as connection:
        secret = add_token(connection, name=args.name, role=args.role, now_s=now_s)
        detail = {"change": "added", "role": args.role}
        audit.append(connection, "operator", f"token:{args.name}", detail, actor=operator(), time_s=now_s)
    print(json.dumps({"name": args.name, "role": args.role, "token": secret}) if args.json else secret)
    return 0


def _list(config: FleetConfig, args: argparse.Namespace) -> int:
    with reading(open_store(config.store_url, create=False)) as connection:
        tokens = list_tokens(connection)
    if args.json:
        print(json.dumps({"tokens": [asdict(one) for one in tokens]}, indent=1))
    else:
        for one in tokens:
            ended = "" if one.revoked_s is None else f"  revoked {texts.clock(one.revoked_s)}"
            print(f"{one.name:24s}  {one.role:8s}  made {texts.clock(one.created_s)}{ended}")
    return 0


def _revoke(config: FleetConfig, args: argparse.Namespace) -> int:
    now_s = int(time.time())
    with writing(open_store(config.store_url, create=False)) as connection:
        revoke_token(connection, name=args.name, now_s=now_s)
        detail = {"change": "revoked"}
        audit.append(connection, "operator", f"token:{args.name}", detail, actor=operator(), time_s=now_s)
    print(json.dumps({"name": args.name}) if args.json else f"{args.name} is revoked")
    return 0
