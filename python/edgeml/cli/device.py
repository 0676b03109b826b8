# SPDX-License-Identifier: Apache-2.0
"""Run the device agent.

    edgeml device init --config device.toml      make the device's key, say what the fleet must know
    edgeml device run --config device.toml       run the model on its inputs, count what it sees, report to the fleet

SIGTERM and Ctrl-C end `run` in order: the last window is released, the spool closed. docs/howto/device.toml explains
every key.
"""

from __future__ import annotations

import json
import logging
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from edgeml.device.config import DeviceConfig, load_config
from edgeml.device.daemon import run_device
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
