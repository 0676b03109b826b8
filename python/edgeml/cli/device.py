# SPDX-License-Identifier: Apache-2.0
"""Run the device agent.

    edgeml device run --config device.toml

runs the model of the configuration on its inputs, counts what it sees and reports it to the fleet. SIGTERM and Ctrl-C end
it in order: the last window is released, the spool closed. docs/howto/device.toml explains every key.
"""

from __future__ import annotations

import json
import logging
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from edgeml.device.config import load_config
from edgeml.device.daemon import run_device

if TYPE_CHECKING:
    import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's commands."""
    commands = parser.add_subparsers(dest="device_command", metavar="COMMAND", required=True)
    run_parser = commands.add_parser("run", help="run a model on a device and report")
    run_parser.add_argument("--config", type=Path, required=True, metavar="device.toml", help="configuration")
    run_parser.add_argument("--json", action="store_true", help="at the end, one JSON document on stdout")


def run(args: argparse.Namespace) -> int:
    """Run the agent until it is ended; 0."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    status = run_device(load_config(args.config), args.config.resolve().parent)
    if args.json:
        print(json.dumps(asdict(status), indent=2))
    else:
        print(
            f"{status.windows_produced} windows made, {status.windows_waiting} wait for the fleet, "
            f"{status.epsilon_spent:g} of {status.epsilon_budget:g} epsilon spent today"
        )
    return 0
