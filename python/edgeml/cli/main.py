# SPDX-License-Identifier: Apache-2.0
"""Entry point `edgeml`: finds the verb's module, prints errors as one sentence, chooses the exit code."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from typing import Final

from edgeml.errors import EdgemlError

SUMMARIES: Final = {  # verb -> its line of help; edgeml.cli.<verb> is imported when used: a device has no converter
    "convert": "turn an ONNX model and calibration data into an int8 .edgeml artifact",
    "compare": "compare an artifact with its ONNX model on data",
    "check": "check that this machine computes an artifact bit for bit as the machine that made it",
    "inspect": "show what is in an artifact: graph, layers, bytes, arena, metadata",
    "run": "run an artifact on arrays of an .npz file",
    "bench": "measure latency and load time of an artifact",
    "tune": "measure this device's kernels and store the rates by which sparse layers are chosen",
    "info": "show CPU, instruction sets, chosen kernels and versions",
    "device": "run the device agent",
    "privacy": "show what a device has spent of its privacy budget",
    "fleet": "run and question the fleet backend",
    "demo": "see the whole loop: five simulated devices, drift, alarm",
}
EXIT_OK: Final = 0
EXIT_FAILED: Final = 1  # the checked thing failed
EXIT_USAGE: Final = 2  # wrong usage or unreadable input


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; returns the exit code (0 done, 1 the checked thing failed, 2 wrong usage or unreadable input)."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    verb = next((a for a in arguments if not a.startswith("-")), None)
    parser = argparse.ArgumentParser(
        prog="edgeml",
        description="Runs int8 networks on edge devices and watches over the fleet that does.",
        epilog="Start here: edgeml convert --help, edgeml demo --help",
    )
    commands = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    try:
        for name, summary in SUMMARIES.items():
            sub = commands.add_parser(name, help=summary, formatter_class=argparse.RawDescriptionHelpFormatter)
            if name == verb:
                module = importlib.import_module(f"edgeml.cli.{name}")
                sub.description = module.__doc__
                module.add_arguments(sub)
                sub.set_defaults(run=module.run)
        args = parser.parse_args(arguments)
        code = int(args.run(args))
        sys.stdout.flush()  # here, so that a reader that has gone is noticed below
        return code
    except ModuleNotFoundError as error:
        extra = {"fleet": "fleet", "demo": "demo"}.get(verb or "", "convert")
        if error.name is None or error.name.startswith("edgeml"):
            raise
        return _fail(f"edgeml {verb} needs the package {error.name}: pip install 'edgeml[{extra}]'")
    except EdgemlError as error:
        return _fail(str(error))
    except BrokenPipeError:  # the reader of our output has seen enough: edgeml inspect MODEL | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED
    except KeyboardInterrupt:
        return 130


def _fail(sentence: str) -> int:
    print(f"edgeml: {sentence}", file=sys.stderr)
    return EXIT_USAGE


if __name__ == "__main__":
    sys.exit(main())
