# SPDX-License-Identifier: Apache-2.0
"""`edgeml fleet rollout` and `freeze`: start a rollout, look at it, hold it, take it back."""

from __future__ import annotations

import argparse
import json
import math
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from edgeml.artifact.artifact import Artifact
from edgeml.cli.operator import operator
from edgeml.errors import FleetError, UsageError
from edgeml.fleet import audit
from edgeml.fleet.config import FleetConfig
from edgeml.fleet.dashboard import texts
from edgeml.fleet.rollout import driver
from edgeml.fleet.rollout.board import RolloutState, rollouts
from edgeml.fleet.rollout.machine import Event
from edgeml.fleet.rollout.policy import Policy, load_policy
from edgeml.fleet.store.engine import open_store, reading, writing
from edgeml.fleet.store.release_tables import business_result, rollout
from edgeml.fleet.store.statements import insert_new
from edgeml.fleet.update_repository import UpdateRepository

ID_CHARACTERS = 16
COMMANDS = {"pause": Event.PAUSE, "resume": Event.RESUME, "abort": Event.ABORT}


def add_verbs(parser: argparse.ArgumentParser, add_config: Callable[[argparse.ArgumentParser], None]) -> None:
    """Declare start, status, pause, resume, abort, metric."""
    verbs = parser.add_subparsers(dest="rollout_verb", metavar="VERB", required=True)

    def verb(
        name: str, summary: str, answer: Callable[[FleetConfig, argparse.Namespace], int]
    ) -> argparse.ArgumentParser:
        one = verbs.add_parser(name, help=summary, description=summary)
        add_config(one)
        one.add_argument("--json", action="store_true", help="print one JSON document and nothing else")
        one.set_defaults(answer=answer)
        return one

    start = verb("start", "roll a model of the registry out, wave by wave", _start)
    start.add_argument("model", metavar="MODEL", help="its id of 16 hexadecimal digits, or the .edgeml file")
    start.add_argument(
        "--policy", type=Path, metavar="POLICY.toml", help="waves, times and limits; default: careful ones"
    )
    start.add_argument("--tenant", help="only devices of this tenant")
    verb("status", "show rollouts, their waves, and what each gate knows", _status)
    for name, summary in (
        ("pause", "begin no further wave"),
        ("resume", "go on after a pause"),
        ("abort", "stop, and send every device back to the model before; also after the end of a rollout"),
    ):
        verb(name, summary, _command).add_argument("rollout", type=int, metavar="ID")
    metric = verb("metric", "count results in the terms of the business metric, for the guardrail", _metric)
    metric.add_argument("rollout", type=int, metavar="ID")
    metric.add_argument("--arm", choices=("new", "old"), required=True, help="with which model")
    metric.add_argument("--good", type=int, required=True, help="how many more results were good")
    metric.add_argument("--of", type=int, required=True, help="of how many more")


def add_freeze(parser: argparse.ArgumentParser, add_config: Callable[[argparse.ArgumentParser], None]) -> None:
    """Declare the switch."""
    add_config(parser)
    parser.add_argument("switch", choices=("on", "off"))
    parser.set_defaults(answer=_freeze)


def _start(config: FleetConfig, args: argparse.Namespace) -> int:
    policy = load_policy(args.policy) if args.policy else Policy()
    with writing(open_store(config.store_url, create=False)) as connection:
        rollout_id = driver.start_rollout(
            connection,
            UpdateRepository(config.update_folder),
            _model_id(args.model),
            policy,
            actor=operator(),
            now_s=int(time.time()),
            tenant=args.tenant,
        )
    print(json.dumps({"rollout": rollout_id}) if args.json else f"rollout {rollout_id} has begun")
    return 0


def _status(config: FleetConfig, args: argparse.Namespace) -> int:
    with reading(open_store(config.store_url, create=False)) as connection:
        known = rollouts(connection)
        frozen = driver.is_frozen(connection)
    if args.json:
        print(json.dumps({"frozen": frozen, "rollouts": [one.document() for one in known]}, indent=1))
        return 0
    for one in known:
        print("\n".join(_lines(one)))
    if frozen:
        print("the freeze switch is on: no wave begins")
    return 0


def _lines(one: RolloutState) -> list[str]:
    lines = [f"rollout {one.id}  {one.model_name} {one.model_id}  {one.state}  since {texts.clock(one.started_s)} UTC"]
    lines += [f"    {one.reason}"] if one.reason else []
    for wave in one.waves:
        states = ", ".join(f"{count} {state}" for state, count in sorted(Counter(wave.states).items()))
        lines.append(f"  {'*' if wave.number == one.wave else ' '} wave {wave.number} {wave.share:.3%}  {states}")
        lines += [
            f"        {gate.gate:10s} {gate.slice:24s} {gate.observed:8.3f} old {gate.baseline:.3f} allowed +{gate.excess:g}"
            f"  evidence {math.exp(min(gate.log_e, 50)):.2g} of {math.exp(gate.log_limit):.0f}  {gate.samples:.0f} samples"
            for gate in wave.gates
        ]
    return lines


def _command(config: FleetConfig, args: argparse.Namespace) -> int:
    with writing(open_store(config.store_url, create=False)) as connection:
        state = driver.command(
            connection,
            UpdateRepository(config.update_folder),
            args.rollout,
            COMMANDS[args.rollout_verb],
            actor=operator(),
            now_s=int(time.time()),
        )
    print(json.dumps({"state": state.value}) if args.json else f"rollout {args.rollout} is {state.value}")
    return 0


def _metric(config: FleetConfig, args: argparse.Namespace) -> int:
    if not 0 <= args.good <= args.of:
        raise UsageError(f"--good {args.good} --of {args.of}: good results are 0 to all of them")
    is_new = args.arm == "new"
    with writing(open_store(config.store_url, create=False)) as connection:
        if connection.execute(sa.select(rollout.c.id).where(rollout.c.id == args.rollout)).one_or_none() is None:
            raise FleetError(f"there is no rollout {args.rollout}")
        key: dict[str, Any] = {"rollout_id": args.rollout, "is_candidate": is_new}
        insert_new(connection, business_result, [{**key, "good": 0, "total": 0}])
        c = business_result.c
        here = sa.update(business_result).where(c.rollout_id == args.rollout, c.is_candidate == is_new)
        connection.execute(here.values(good=c.good + args.good, total=c.total + args.of))
        said = {"arm": args.arm, "good": args.good, "of": args.of}
        audit.append(connection, "metric", f"rollout {args.rollout}", said, actor=operator(), time_s=int(time.time()))
    print(json.dumps(said) if args.json else f"rollout {args.rollout}: {args.good} of {args.of} more are good")
    return 0


def _freeze(config: FleetConfig, args: argparse.Namespace) -> int:
    with writing(open_store(config.store_url, create=False)) as connection:
        driver.set_frozen(connection, args.switch == "on", actor=operator(), now_s=int(time.time()))
    print(f"the freeze switch is {args.switch}")
    return 0


def _model_id(text: str) -> bytes:
    if len(text) == ID_CHARACTERS and not set(text) - set("0123456789abcdef"):
        return bytes.fromhex(text)
    return Artifact.load(Path(text)).model_id
