# SPDX-License-Identifier: Apache-2.0
"""Run the device agent.

    edgeml device init --config device.toml      make the device's key, say what the fleet must know
    edgeml device run --config device.toml       run the model on its inputs, count what it sees, report to the fleet
    edgeml device status --config device.toml    how it stands: budget, windows that wait, last ack, connection, model

SIGTERM and Ctrl-C end `run` in order: the last window is released, the spool closed. docs/howto/device.toml explains
every key.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from edgeml.device.config import DeviceConfig, load_config
from edgeml.device.daemon import run_device
from edgeml.device.status import read_status
from edgeml.privacy.budget import MICRO
from edgeml.telemetry.device_key import DeviceKey, public_key_text
from edgeml.telemetry.state_directory import KEY_FILE

if TYPE_CHECKING:
    import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's commands."""
    commands = parser.add_subparsers(dest="device_command", metavar="COMMAND", required=True)
    for name, summary, help_of_json, command in (
        ("init", "make the key of a device, or show it", "print one JSON document and nothing else", _init),
        ("run", "run a model on a device and report", "at the end, one JSON document on stdout", _run),
        (
            "status",
            "show how a device stands, whether it runs or not",
            "print one JSON document and nothing else",
            _status,
        ),
    ):
        sub = commands.add_parser(name, help=summary, description=summary)
        sub.add_argument("--config", type=Path, required=True, metavar="device.toml", help="configuration")
        sub.add_argument("--json", action="store_true", help=help_of_json)
        sub.set_defaults(command=command)


def run(args: argparse.Namespace) -> int:
    """Do what the command says; 0."""
    return int(args.command(load_config(args.config), args))


def _init(config: DeviceConfig, args: argparse.Namespace) -> int:
    path = config.key or config.state / KEY_FILE
    is_new = not path.exists()
    public = public_key_text(DeviceKey.load_or_create(path).public)
    if args.json:
        print(json.dumps({"key_file": str(path), "public_key": public, "new": is_new}, indent=2))
        return 0
    print(f"{public}  ({'made' if is_new else 'kept'} in {path})")
    print(f"at the fleet: edgeml fleet provision --tenant {config.tenant} {config.device}={public}")
    return 0


def _run(config: DeviceConfig, args: argparse.Namespace) -> int:
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    status = run_device(config, args.config.resolve().parent)
    if args.json:
        print(json.dumps(asdict(status), indent=2))
    else:
        print(
            f"{status.windows_produced} windows made, {status.windows_waiting} wait for the fleet, "
            f"{status.epsilon_spent:g} of {status.epsilon_budget:g} epsilon spent today"
        )
    return 0


def _status(config: DeviceConfig, args: argparse.Namespace) -> int:
    status = read_status(config.state)
    left = config.budget.day_micro / MICRO if status.epsilon_left is None else status.epsilon_left
    if args.json:
        print(json.dumps({**asdict(status), "epsilon_left": left}, indent=2))
        return 0
    running = status.running
    lines = [("device", f"{config.tenant}/{config.device}, {'runs' if status.is_running else 'does not run'}")]
    if running is not None and status.is_running:
        how = "connected to" if running.is_connected else "no connection to"
        lines.append(("broker", f"{how} {running.broker} since {_ago(running.since)}"))
    if running is not None:
        lines.append(
            ("model", f"{running.model_name} {running.model_id}, {running.isa}, edgeml {running.edgeml_version}")
        )
    lost = f", {status.windows_lost} lost by the disk" if status.windows_lost else ""
    lines += [
        ("windows", f"{status.windows_produced} made, {status.windows_waiting} wait for the fleet{lost}"),
        ("last ack", "never" if status.last_ack is None else _ago(status.last_ack)),
        ("budget", f"{left:g} epsilon left today, {status.epsilon_spent:g} spent"),
        ("epoch", status.epoch),
    ]
    for name, value in lines:
        print(f"{name:9s} {value}")
    return 0


def _ago(unix_s: int) -> str:
    seconds = max(0, int(time.time()) - unix_s)
    for unit, size in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit} ago"
    return f"{seconds} seconds ago"
