# SPDX-License-Identifier: Apache-2.0
"""Runs the fleet backend and answers questions about what it knows.

    edgeml fleet serve --config fleet.toml [--embedded-broker]    collect, test, raise alarms, show the dashboard
    edgeml fleet provision DEVICE=PUBLIC_KEY                      listen to a device from now on
    edgeml fleet model push MODEL.edgeml --card card.toml         sign a model and make it known
    edgeml fleet token add | list | revoke NAME                   who may use dashboard and API
    edgeml fleet rollout start MODEL | status | pause ID | resume ID | abort ID      bring a model to the devices, wave by wave
    edgeml fleet sim --devices 1000                               rollouts of good, slow, drifting, crashing, silent models
    edgeml fleet audit show | head | verify                       who did what, and whether the log was touched
    edgeml fleet devices | drift | books                          what the store knows; --json for machines

The questions read the store that fleet.toml names, whether the server runs or not. `books` exits 1 where a window is
unaccounted. docs/howto/fleet.md goes through it step by step.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from edgeml.artifact.artifact import Artifact
from edgeml.cli import fleet_audit, fleet_rollout, fleet_sim, fleet_token
from edgeml.cli.operator import operator
from edgeml.errors import UsageError
from edgeml.fleet.config import FleetConfig, load_config
from edgeml.fleet.dashboard import texts
from edgeml.fleet.model_card import ModelCard, load_card
from edgeml.fleet.overview import Overview, overview
from edgeml.fleet.provisioning import forget_earlier_keys, provision
from edgeml.fleet.registry import enter_model
from edgeml.fleet.serve import ServeOptions, serve
from edgeml.fleet.store.engine import open_store, reading, writing
from edgeml.fleet.store.running import running_at
from edgeml.fleet.update_repository import UpdateRepository

EXIT_OK: Final = 0
EXIT_FAILED: Final = 1
WIDTH_OF_FILES: Final = 200  # a table that is piped is not wrapped to a terminal of 80


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verbs below `edgeml fleet`."""
    verbs = parser.add_subparsers(dest="fleet_verb", metavar="VERB", required=True)
    _add_serve(verbs.add_parser("serve", help="collect, test for drift, raise alarms, show the dashboard"))
    for name, summary, answer in (
        ("devices", "list devices with state, model and budget", _devices),
        ("drift", "show the newest drift test of every device and feature, and open alarms", _drift),
        ("books", "show windows produced, stored and unaccounted; exit 1 if any is unaccounted", _books),
    ):
        question = verbs.add_parser(name, help=summary, description=summary)
        _add_config(question)
        question.add_argument("--json", action="store_true", help="print one JSON document and nothing else")
        if name == "devices":
            question.add_argument(
                "--at", type=_moment, metavar="TIME", help="what ran on each at this moment: 2026-01-31T14:03 (UTC)"
            )
        if name == "drift":
            question.add_argument("--device", help="only this device")
        question.set_defaults(answer=answer)
    _add_provision(verbs.add_parser("provision", help="make devices known: the fleet listens to no others"))
    model = verbs.add_parser("model", help="the model registry").add_subparsers(
        dest="model_verb", metavar="VERB", required=True
    )
    push = model.add_parser("push", help="sign a model, shelve it for devices, make its telemetry schema known")
    push.add_argument("model", metavar="MODEL.edgeml", type=Path)
    push.add_argument(
        "--card",
        type=Path,
        metavar="CARD.toml",
        help="risk_tier, owner, playbook, business_metric, ...; default: low risk",
    )
    _add_config(push)
    push.add_argument("--json", action="store_true", help="print one JSON document and nothing else")
    push.set_defaults(answer=_push)
    fleet_token.add_verbs(verbs.add_parser("token", help="who may use dashboard and API"), _add_config)
    fleet_rollout.add_verbs(verbs.add_parser("rollout", help="bring a model to the devices, wave by wave"), _add_config)
    fleet_rollout.add_freeze(
        verbs.add_parser("freeze", help="the switch that holds all rollouts: on or off"), _add_config
    )
    fleet_sim.add_verb(
        verbs.add_parser("sim", help="play rollouts to simulated devices on the real intake, store and gates")
    )
    fleet_audit.add_verbs(verbs.add_parser("audit", help="the log of who did what"), _add_config)


def run(args: argparse.Namespace) -> int:
    """Answer, or serve until a signal; returns the exit code."""
    if args.fleet_verb == "sim":  # it needs no fleet
        return fleet_sim.run(args)
    config = load_config(args.config)
    answer: Callable[[FleetConfig, argparse.Namespace], int] = args.answer
    return answer(config, args)


def _add_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config", type=Path, default=Path("fleet.toml"), metavar="FLEET.toml", help="default: fleet.toml"
    )


def _add_serve(parser: argparse.ArgumentParser) -> None:
    parser.description = "Runs until SIGTERM or Ctrl-C. The dashboard's token is printed at the first start."
    _add_config(parser)
    parser.add_argument("--embedded-broker", action="store_true", help="start an MQTT 3.1.1 broker in this process")
    parser.add_argument("--mqtt-host", default="127.0.0.1", help="address of the embedded broker; default 127.0.0.1")
    parser.add_argument("--mqtt-port", type=_port, default=1883, help="port of the embedded broker; 0: any free one")
    parser.add_argument("--broker-url", help="mqtt://host:port; default: that of the configuration")
    parser.add_argument("--http-host", help="address of the dashboard; default: that of the configuration")
    parser.add_argument("--http-port", type=_port, help="port of the dashboard; 0: any free one")
    parser.add_argument(
        "--ready-file", type=Path, metavar="PATH", help="JSON with ports and addresses, written when all is up"
    )
    parser.add_argument("--verbose", action="store_true", help="log more than warnings")
    parser.set_defaults(answer=_serve)


def _add_provision(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "edgeml device init prints the public key of a device. A DEVICE without one gets a key in --out DIR/DEVICE,"
        " to be carried to the device. Prints the lines of a mosquitto ACL file."
    )
    parser.add_argument("devices", nargs="+", metavar="DEVICE[=PUBLIC_KEY]")
    parser.add_argument("--tenant", default="default", help="whose devices they are; default: default")
    parser.add_argument("--out", type=Path, metavar="DIR", help="where keys are made")
    parser.add_argument("--only", action="store_true", help="forget earlier keys of these devices")
    _add_config(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON document and nothing else")
    parser.set_defaults(answer=_provision)


def _port(text: str) -> int:
    port = int(text) if text.isascii() and text.isdigit() else -1
    if not 0 <= port <= 65_535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port of 0..65535")
    return port


def _serve(config: FleetConfig, args: argparse.Namespace) -> int:
    if args.embedded_broker and args.broker_url:
        raise UsageError("--embedded-broker and --broker-url exclude each other")
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.INFO if args.verbose else logging.WARNING,
        format="%(asctime)s %(levelname)s %(message)s",
    )
    serve(
        config,
        ServeOptions(
            embedded_broker=args.embedded_broker,
            mqtt_host=args.mqtt_host,
            mqtt_port=args.mqtt_port,
            broker_url=args.broker_url,
            http_host=args.http_host,
            http_port=args.http_port,
            ready_file=args.ready_file,
        ),
    )
    return EXIT_OK


def _state(config: FleetConfig) -> Overview:
    with reading(open_store(config.store_url, create=False)) as connection:
        return overview(connection, now_s=int(time.time()), period_s=config.period_s)


def _moment(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time such as 2026-01-31T14:03") from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp())


def _devices_at(config: FleetConfig, args: argparse.Namespace) -> int:
    with reading(open_store(config.store_url, create=False)) as connection:
        rows = running_at(connection, args.at)
    if args.json:
        known = [
            {
                "tenant": row.tenant,
                "device": row.name,
                "since_s": row.since_s,
                "model_id": row.model_id.hex() if row.model_id else None,
                "model_name": row.model_name,
            }
            for row in rows
        ]
        _print_json({"time_s": args.at, "devices": known})
        return EXIT_OK
    lines = [
        (f"{row.tenant}/{row.name}", f"{row.model_name} {row.model_id.hex()}", texts.clock(row.since_s))
        if row.model_id
        else (f"{row.tenant}/{row.name}", "not heard of yet", "")
        for row in rows
    ]
    _print_table(("device", f"ran at {texts.clock(args.at)} UTC", "since"), lines)
    return EXIT_OK


def _devices(config: FleetConfig, args: argparse.Namespace) -> int:
    if args.at is not None:
        return _devices_at(config, args)
    state = _state(config)
    if args.json:
        _print_json({"devices": [asdict(device) for device in state.devices]})
        return EXIT_OK
    rows = [
        (
            f"{one.tenant}/{one.device}",
            one.state,
            texts.ago(one.last_seen_s, state.time_s),
            f"{one.model_name} {one.model_id[:8]}",
            one.isa,
            f"{texts.epsilon(one.epsilon_spent_micro)} of {texts.epsilon(one.epsilon_budget_micro)}",
            str(one.alarms),
        )
        for one in state.devices
    ]
    _print_table(("device", "state", "last seen", "model", "isa", "epsilon today", "alarms"), rows)
    return EXIT_OK


def _drift(config: FleetConfig, args: argparse.Namespace) -> int:
    state = _state(config)
    latest = [one for one in state.drift if args.device in (None, one.device)]
    alarms = [alarm for alarm in state.open_alarms if args.device in (None, alarm.device)]
    if args.json:
        _print_json({"drift": [asdict(one) for one in latest], "alarms": [asdict(alarm) for alarm in alarms]})
        return EXIT_OK
    rows = [
        (
            f"{one.tenant}/{one.device}",
            one.feature,
            texts.clock(one.period_start_s),
            texts.thousands(one.samples),
            texts.p_text(one.p_value),
            texts.psi_text(one.psi),
            f"{one.js:.2f}",
        )
        for one in sorted(latest, key=lambda one: (one.p_value, -one.psi))
    ]
    _print_table(("device", "feature", "period from, UTC", "samples", "p", "PSI", "JS"), rows)
    for alarm in alarms:
        print(f"ALARM {alarm.rule}: {alarm.tenant}/{alarm.device} since {texts.clock(alarm.since_s)} UTC")
    return EXIT_OK


def _books(config: FleetConfig, args: argparse.Namespace) -> int:
    state = _state(config)
    if args.json:
        sums = {name: getattr(state, name) for name in ("produced", "stored", "waiting", "lost", "unaccounted")}
        _print_json({**sums, "devices": [asdict(device.book) for device in state.devices]})
    else:
        books = [device.book for device in state.devices]
        rows = [(f"{b.tenant}/{b.device}", b.produced, b.stored, b.waiting, b.lost, b.unaccounted) for b in books]
        rows.append(("all", state.produced, state.stored, state.waiting, state.lost, state.unaccounted))
        _print_table(("device", "produced", "stored", "on device", "lost", "unaccounted"), rows)
    return EXIT_OK if state.unaccounted == 0 else EXIT_FAILED


def _push(config: FleetConfig, args: argparse.Namespace) -> int:
    artifact = Artifact.load(args.model)
    card = load_card(args.card) if args.card else ModelCard()
    now_s = int(time.time())
    repository = UpdateRepository(config.update_folder)
    repository.create(now_s)
    with writing(open_store(config.store_url)) as connection:
        pushed = enter_model(connection, repository, artifact, card, actor=operator(), now_s=now_s)
    if args.json:
        _print_json({**asdict(pushed), "model_id": pushed.model_id.hex(), "schema_id": pushed.schema_id.hex()})
    else:
        what = "known now" if pushed.new else "known already"
        print(f"{pushed.name} {pushed.model_id.hex()}: {what}, {pushed.features} features")
    return EXIT_OK


def _provision(config: FleetConfig, args: argparse.Namespace) -> int:
    with writing(open_store(config.store_url)) as connection:
        made = provision(connection, args.devices, tenant=args.tenant, out=args.out, now_s=int(time.time()))
        if args.only:
            forget_earlier_keys(connection, made)
    if args.json:
        _print_json({"devices": [asdict(one) for one in made]})
        return EXIT_OK
    for one in made:
        print(f"# {one.tenant}/{one.device} {one.public_key}{f', key in {one.key_file}' if one.key_file else ''}")
        print("\n".join(one.acl))
    return EXIT_OK


def _print_json(document: dict[str, Any]) -> None:
    json.dump(document, sys.stdout, indent=1, sort_keys=True)
    sys.stdout.write("\n")


def _print_table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    table = Table(*head, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*map(str, row))
    width = None if sys.stdout.isatty() else WIDTH_OF_FILES
    Console(file=sys.stdout, highlight=False, markup=False, width=width).print(table)
