# SPDX-License-Identifier: Apache-2.0
"""Measure this device's dense and sparse kernels, and store the rates by which sessions choose between them.

    edgeml tune kws.edgeml                       measure, store, show what changes for this model
    edgeml tune kws.edgeml -o /etc/edgeml/rates.json; export EDGEML_RATES=/etc/edgeml/rates.json

Layers of an artifact that are stored without their zeros run sparse where that is predicted to be over 10 % faster, else
their zeros are filled in when the artifact is loaded. The prediction uses rates that come with edgeml for each
instruction-set level; here they are replaced by what this device does. Results stay the same to the bit.

Where sessions look: the `rates` argument of InferenceSession, else the file that EDGEML_RATES names, else
~/.config/edgeml/rates.json (below XDG_CONFIG_HOME where that is set), which is where this verb writes without -o. Delete
the file to go back. Run it while the device is idle; it takes a few seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np

from edgeml import layer_rates
from edgeml.session import InferenceSession

RUNS = 30


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the verb."""
    parser.add_argument("model", metavar="MODEL.edgeml", type=Path, help="what the choice is shown for")
    parser.add_argument("-o", "--output", metavar="RATES.json", type=Path, help="where the rates go")
    parser.add_argument("--isa", help="level to measure (default: EDGEML_ISA, else the best of this machine)")
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(args: argparse.Namespace) -> int:
    """Run the verb."""
    path = args.output or Path(os.environ.get(layer_rates.VARIABLE) or layer_rates.default_path())
    isa = InferenceSession(args.model, threads=1, isa=args.isa, rates={}).isa
    rates = {isa: layer_rates.measure(isa)}
    layer_rates.save(path, rates)
    before = _measure(InferenceSession(args.model, threads=1, isa=isa, rates={}))
    after = _measure(InferenceSession(args.model, threads=1, isa=isa, rates=rates))
    layers = [
        {"name": old.name, "output": old.output_dims, "kernel_before": old.kernel, "kernel": new.kernel}
        | {"us_before": old.duration_ns / 1e3, "us": new.duration_ns / 1e3}
        for old, new in zip(before["layers"], after["layers"], strict=True)
        if old.macs
    ]
    report = {
        "isa": isa,
        "rates": rates[isa]._asdict(),
        "file": str(path),
        "latency_ms_before": before["latency_ms"],
        "latency_ms": after["latency_ms"],
        "layers": layers,
    }
    print(json.dumps(report) if args.json else _text(report))
    return 0


def _measure(session: InferenceSession) -> dict[str, Any]:
    feed = {}
    for spec in session.get_inputs():
        shape = [1 if isinstance(dim, str) else dim for dim in spec.shape]
        feed[spec.name] = np.zeros(shape, spec.dtype)
    times = []
    for _ in range(RUNS):
        start = time.perf_counter()
        session.run(None, feed)
        times.append(time.perf_counter() - start)
    return {"latency_ms": float(np.median(times)) * 1e3, "layers": session.profile(feed, runs=RUNS)}


def _text(report: dict[str, Any]) -> str:
    rates = report["rates"]
    sparse = ", ".join(f"{name.removeprefix('sparse_')} {rates[name]:.1f}" for name in rates if "x4" in name)
    lines = [
        (
            f"{report['isa']}: dense {rates['dense']:.1f} MAC/ns; of weights that are there {sparse} MAC/ns; "
            f"an output costs {rates['dense_output']:.3f} ns dense, {rates['sparse_output']:.3f} ns sparse"
        ),
        f"stored in {report['file']}",
    ]
    changed = [layer for layer in report["layers"] if layer["kernel"] != layer["kernel_before"]]
    lines += [
        f"  {layer['name'][-38:]:40s}{layer['output']:18s}{layer['kernel_before']} {layer['us_before']:.1f} us -> "
        f"{layer['kernel']} {layer['us']:.1f} us"
        for layer in changed
    ]
    lines.append(
        f"{len(changed)} of {len(report['layers'])} layers run another kernel than before; "
        f"p50 {report['latency_ms_before']:.3f} ms -> {report['latency_ms']:.3f} ms"
    )
    return "\n".join(lines)
