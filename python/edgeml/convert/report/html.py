# SPDX-License-Identifier: Apache-2.0
"""Writes the report of a conversion as one HTML file: inline style and pictures, no script, nothing fetched."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgeml.artifact import Artifact
from edgeml.convert.prune.pruner import Pruned
from edgeml.convert.report.charts import histogram, sqnr_bars
from edgeml.convert.report.layer_errors import LayerError, measure_layer_errors
from edgeml.convert.report.pruning import pruning_section
from edgeml.errors import UsageError
from edgeml.ir import Graph
from edgeml.session import InferenceSession
from edgeml.whole_file import write_whole_file

Array = npt.NDArray[Any]
WEAK_DB: Final = 20.0  # below it a layer's noise is over a tenth of its signal
_TIMED_RUNS: Final = 20

_STYLE: Final = """
:root {
  color-scheme: light dark;
  --ink: #1c2430; --soft: #5b6675; --line: #d8dee6; --good: #2f6fb0; --weak: #c2501e; --paper: #fff;
}
@media (prefers-color-scheme: dark) {
  :root { --ink: #e3e8ee; --soft: #9aa6b5; --line: #37414d; --good: #6fb1ee; --weak: #f09a6a; --paper: #14181d; }
}
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); }
body { max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; } th, td { border-bottom: 1px solid var(--line); padding: .2rem .5rem; text-align: left; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; } .wide { overflow-x: auto; }
.grid { stroke: var(--line); } .curve { fill: none; stroke: var(--good); stroke-width: 2; }
svg text { font: 11px system-ui, sans-serif; fill: var(--ink); } .good { fill: var(--good); } .weak { fill: var(--weak); }
p.soft { color: var(--soft); } td.weak { color: var(--weak); }
"""


def write_report(
    path: str | os.PathLike[str], artifact: Artifact, graph: Graph, feed: Mapping[str, Array], pruned: Pruned | None
) -> None:
    """Measure an artifact against its float graph on samples and write the page, whole or not at all.

    Raises:
        UsageError: the file cannot be written; nothing is left behind.
    """
    session = InferenceSession(artifact.to_bytes(), threads=1)
    title = f"us ({session.isa}, 1 thread)"
    page = render(artifact, measure_layer_errors(artifact, graph, feed), title, _durations(session, feed), pruned)
    try:
        write_whole_file(path, page.encode())
    except OSError as error:
        raise UsageError(
            f"cannot write {os.fspath(path)}: {error.strerror}; free space or choose another place with --report"
        ) from error


def _durations(session: InferenceSession, feed: Mapping[str, Array]) -> dict[str, int]:
    """Median nanoseconds of every node for one sample on this machine; empty for an artifact with int8 inputs."""
    if any(spec.dtype != np.float32 for spec in session.get_inputs()):
        return {}
    shapes = {spec.name: spec.shape[0] for spec in session.get_inputs()}
    one = {name: array[: n if isinstance(n := shapes[name], int) else 1] for name, array in feed.items()}
    return {row.name: row.duration_ns for row in session.profile(one, runs=_TIMED_RUNS)}


def render(
    artifact: Artifact,
    rows: Sequence[LayerError],
    time_title: str,
    durations_ns: Mapping[str, int],
    pruned: Pruned | None,
) -> str:
    """The page. `time_title` says what the durations, nanoseconds by node name, were measured on."""
    metadata = artifact.metadata
    name = escape(str(metadata.get("name") or "model"))
    return "\n".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width">',
            f"<title>{name}: conversion report</title><style>{_STYLE}</style></head><body>",
            f"<h1>{name}</h1>",
            _facts(artifact),
            "" if pruned is None else pruning_section(pruned),
            "<h2>Noise that int8 adds, layer by layer</h2>",
            f"<p>{_first_divergence(rows)}</p>",
            f'<div class="wide">{sqnr_bars(rows, WEAK_DB)}</div>',
            "<h2>Layers</h2>",
            f'<div class="wide">{_table(artifact, rows, time_title, durations_ns)}</div>',
            _float_layers(artifact),
            "<h2>How it was made</h2>",
            _made(metadata),
            "</body></html>",
        ]
    )


def _facts(artifact: Artifact) -> str:
    size, macs = len(artifact.to_bytes()), artifact.metadata.get("macs", 0)
    return (
        f'<p class="soft">{size:,} bytes, {len(artifact.graph.nodes)} nodes, {macs:,} multiply-accumulates a sample, '
        f"model id {artifact.model_id.hex()}</p>"
    )


def _first_divergence(rows: Sequence[LayerError]) -> str:
    weak = next((row for row in rows if row.sqnr_db < WEAK_DB), None)
    if weak is None:
        return f"No layer falls under {WEAK_DB:.0f} dB."
    return (
        f"The first layer under {WEAK_DB:.0f} dB is <b>{escape(weak.tensor)}</b> ({escape(weak.op)}, {weak.sqnr_db:.1f} dB): "
        "what follows it inherits its noise, so look there first."
    )


def _table(artifact: Artifact, rows: Sequence[LayerError], time_title: str, durations_ns: Mapping[str, int]) -> str:
    sizes = _node_bytes(artifact)
    head = (
        "layer",
        "operator",
        "SQNR dB",
        "cosine",
        "saturated",
        "int8 values -128..127",
        "bytes",
        time_title,
    )
    lines = ["<table><tr>" + "".join(f"<th>{escape(title)}</th>" for title in head) + "</tr>"]
    for row in rows:
        sqnr = "exact" if math.isinf(row.sqnr_db) else f"{row.sqnr_db:.1f}"
        weak = " weak" if row.sqnr_db < WEAK_DB else ""
        time = f"{durations_ns[row.node] / 1000:.1f}" if row.node in durations_ns else "-"
        lines.append(
            f'<tr><td>{escape(row.tensor)}</td><td>{escape(row.op)}</td><td class="n{weak}">{sqnr}</td>'
            f'<td class="n">{row.cosine:.5f}</td><td class="n">{100 * row.saturated_share:.3f} %</td>'
            f"<td>{histogram(row.histogram.tolist())}</td>"
            f'<td class="n">{sizes.get(row.node, 0):,}</td><td class="n">{time}</td></tr>'
        )
    return "\n".join([*lines, "</table>"])


def _node_bytes(artifact: Artifact) -> dict[str, int]:
    tensors = artifact.graph.tensors
    sizes = {}
    for node in artifact.graph.nodes:
        constants = (tensors[index].data for index in node.inputs)
        sizes[node.name] = sum(data.nbytes for data in constants if data is not None)
    return sizes


def _float_layers(artifact: Artifact) -> str:
    """Nodes that compute on float32 and are no border between float and int8."""
    tensors = artifact.graph.tensors
    names = [
        f"{escape(node.name)} ({escape(node.op)})"
        for node in artifact.graph.nodes
        if node.op != "quantize"
        and any(tensors[i].data is None and tensors[i].dtype == np.float32 for i in node.inputs)
    ]
    if not names:
        return "<p>Every layer computes in int8.</p>"
    return f"<p>These layers have no int8 form and compute in float32: {', '.join(names)}.</p>"


def _made(metadata: Mapping[str, Any]) -> str:
    wanted = ("producer", "opset", "source_sha256", "calibration_sha256", "calibration_samples", "options")
    lines = [f"<tr><th>{key}</th><td>{escape(str(metadata[key]))}</td></tr>" for key in wanted if key in metadata]
    return f"<table>{''.join(lines)}</table>"
