# SPDX-License-Identifier: Apache-2.0
"""`edgeml fleet sim`: rollouts to simulated devices; exit 1 if one ends as it should not."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict

from edgeml.fleet.simulator import MODELS, SimOptions, simulate


def add_verb(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.description = "Equal options give equal histories. A bad model must be rolled back within 2 % of the fleet."
    parser.add_argument(
        "--model", choices=(*MODELS, "all"), default="all", help="what is rolled out; default: one of each"
    )
    parser.add_argument("--devices", type=int, default=1000, metavar="N", help="10 to 10000; default 1000")
    parser.add_argument("--seed", type=int, default=1, metavar="N")
    parser.add_argument("--json", action="store_true", help="print one JSON document and nothing else")


def run(args: argparse.Namespace) -> int:
    """Play; returns the exit code."""
    models = MODELS if args.model == "all" else (args.model,)
    reports = []
    for model in models:
        report = simulate(SimOptions(model=model, devices=args.devices, seed=args.seed))
        reports.append(report)
        if not args.json:
            verdict = "ok" if report.passed else "FAILED"
            reached = f"{report.reached} of {report.devices} devices"
            print(
                f"{verdict:7s}{model:10s}{report.state:12s} {reached}, {report.unaccounted} unaccounted  {report.reason}"
            )
    if args.json:
        print(json.dumps([{**asdict(one), "passed": one.passed} for one in reports], indent=1))
    return 0 if all(one.passed for one in reports) else 1
