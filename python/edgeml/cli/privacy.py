# SPDX-License-Identifier: Apache-2.0
"""Plan a privacy budget, show what a device has spent of it, audit the noise of this installation.

`edgeml privacy plan` answers whether a fleet can see a shift through the noise; exit 1 if it cannot. `edgeml privacy show
STATE_DIR` reads the ledger of a state directory, also while the device runs: epsilon spent and left for each UTC day; burnt
are releases that were charged and never stored, because the device stopped in between; "together" is the (epsilon, delta)
of all releases of the day by zCDP. `edgeml privacy audit` bounds epsilon from below; exit 1 if that is above the claim.
"""

from __future__ import annotations

import datetime as dt
import json
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

from edgeml.device.privacy_audit import CONFIDENCE, RELEASES, audit
from edgeml.errors import DeviceError
from edgeml.privacy.accounting import DELTA_SHOWN, epsilon_of_rho
from edgeml.privacy.budget import MICRO, parse_epsilon
from edgeml.privacy.ledger import DaySpent, read_days
from edgeml.privacy.plan import FALSE_ALARMS, POWER_WANTED, UNITS, Fleet, plan
from edgeml.telemetry.state_directory import SPOOL_FILE

if TYPE_CHECKING:
    import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's commands."""
    commands = parser.add_subparsers(dest="privacy_command", metavar="COMMAND", required=True)
    show = commands.add_parser("show", help="epsilon spent and left, for each day")
    show.add_argument("state_dir", type=Path, metavar="STATE_DIR", help="state directory of a device")
    show.add_argument("--json", action="store_true", help="one JSON document on stdout")

    _add_plan(commands.add_parser("plan", help="whether a fleet sees a shift, and how"))
    check = commands.add_parser("audit", help="epsilon of this installation, from below")
    check.add_argument("--epsilon", default="1", help="the claim (default 1)")
    check.add_argument("--sampler", default="exact", choices=("exact", "constant_time"))
    check.add_argument("--releases", type=int, default=RELEASES, help=f"of each window (default {RELEASES})")
    check.add_argument("--json", action="store_true", help="one JSON document on stdout")


def _add_plan(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--devices", type=int, required=True, help="in the fleet")
    parser.add_argument("--events-per-day", type=int, required=True, help="inferences of one device in a day")
    parser.add_argument("--epsilon", default="1", help="of the unit (default 1)")
    parser.add_argument(
        "--shift-sd", type=float, required=True, help="smallest shift that matters, standard deviations"
    )
    parser.add_argument("--unit", default="event", choices=UNITS, help="what one epsilon protects (default event)")
    parser.add_argument("--secure-sum", action="store_true", help="only the sum over the fleet is seen")
    parser.add_argument("--features", type=int, default=1, help="of the telemetry schema (default 1)")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")


def run(args: argparse.Namespace) -> int:
    """Do what the command says; 0, or 1 if a plan cannot see or an audit finds more than the claim."""
    return {"plan": _plan, "show": _show, "audit": _audit}[args.privacy_command](args)


def _plan(args: argparse.Namespace) -> int:
    fleet = Fleet(
        devices=args.devices,
        events_per_day=args.events_per_day,
        epsilon=parse_epsilon(args.epsilon, "privacy plan: epsilon"),
        shift_sd=args.shift_sd,
        unit=args.unit,
        secure_sum=args.secure_sum,
        features=args.features,
    )
    found = plan(fleet)
    if args.json:
        document = {
            "unit": fleet.unit,
            "mechanism": found.mechanism,
            "bins": found.bins,
            "window_s": found.window_s,
            "noise_scale": [found.noise_scale.numerator, found.noise_scale.denominator],
            "false_alarms": FALSE_ALARMS,
            "power": round(found.power, 4),
            "can_see": found.can_see,
        }
        print(json.dumps(document, indent=2))
    else:
        verdict = "sees" if found.can_see else f"cannot see (power below {POWER_WANTED:g}): refused. The best plan sees"
        print(
            f"unit {fleet.unit}, epsilon {fleet.epsilon}: {found.mechanism} of scale {found.noise_scale} on {found.bins}"
            f" bins, windows of {found.window_s} s, {verdict} a shift of {fleet.shift_sd:g} sd in a day with probability"
            f" {found.power:.2f} at {FALSE_ALARMS:.0%} false alarms."
            + ("" if found.can_see else " More devices, a larger epsilon, the unit event or a secure sum would help.")
        )
    return 0 if found.can_see else 1


def _audit(args: argparse.Namespace) -> int:
    claim = parse_epsilon(args.epsilon, "privacy audit: epsilon")
    result = audit(claim, sampler=args.sampler, releases=args.releases)
    if args.json:
        document = {
            "epsilon_claimed": result.epsilon_claimed,
            "epsilon_lower_bound": result.epsilon_lower_bound,
            "confidence": CONFIDENCE,
            "releases": result.releases,
            "passed": result.passed,
        }
        print(json.dumps(document, indent=2))
    else:
        print(
            f"epsilon is at least {result.epsilon_lower_bound:.3f} at {CONFIDENCE:.1%} confidence after {result.releases}"
            f" releases; the claim of {claim} is {'not contradicted' if result.passed else 'FALSE'}"
        )
    return 0 if result.passed else 1


def _show(args: argparse.Namespace) -> int:
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
        print(f"{'day (UTC)':12}{'spent':>12}{'left':>12}{'releases':>10}{'burnt':>7}{'together':>11}")
        for day in days:
            spent, left = f"{day.spent_micro / MICRO:.6g}", f"{day.left_micro / MICRO:.6g}"
            print(f"{_date(day):12}{spent:>12}{left:>12}{day.releases:>10}{day.burnt:>7}{_together(day):>11.4g}")
    return 0


def _date(day: DaySpent) -> str:
    return str(dt.date(1970, 1, 1) + dt.timedelta(days=day.day))


def _together(day: DaySpent) -> float:
    """Epsilon of all releases of the day together, at DELTA_SHOWN; never more than their sum."""
    return min(day.spent_micro / MICRO, epsilon_of_rho(day.rho_micro, delta=DELTA_SHOWN))


def _document(day: DaySpent) -> dict[str, object]:
    return {
        "day": _date(day),
        "epsilon_spent": day.spent_micro / MICRO,
        "epsilon_left": day.left_micro / MICRO,
        "epsilon_budget": day.budget_micro / MICRO,
        "releases": day.releases,
        "burnt": day.burnt,
        "epsilon_together": round(_together(day), 6),
        "delta": DELTA_SHOWN,
    }
