# SPDX-License-Identifier: Apache-2.0
"""Writes what was measured: bench/peers.json, the table in bench/README.md, docs/images/peers.svg."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from bench.peers import picture
from bench.peers.environments import REPOSITORY
from bench.peers.models import names
from bench.peers.runtimes import RUNTIMES

README: Final = REPOSITORY / "bench" / "README.md"
DOCUMENT: Final = REPOSITORY / "bench" / "peers.json"
PICTURE: Final = REPOSITORY / "docs" / "images" / "peers.svg"
BEGIN: Final = "<!-- peers: begin, made by python -m bench.peers --report -->"
END: Final = "<!-- peers: end -->"
OURS: Final = "edgeml int8"
TITLES: Final = {
    "edgeml": "edgeml",
    "onnxruntime": "ONNX Runtime",
    "openvino": "OpenVINO",
    "litert": "LiteRT",
    "ncnn": "ncnn",
    "mnn": "MNN",
}

Document = dict[str, Any]


def write(results: Path) -> None:
    """Read every measurement in the folder and write the three files."""
    documents = [json.loads(file.read_text()) for file in sorted(results.glob("*.json"))]
    order = names()
    documents = [d for d in documents if d["model"] in order]
    documents.sort(key=lambda d: (d["isa"] != "best", d["threads"], order.index(d["model"])))
    DOCUMENT.write_text(json.dumps(documents, indent=1) + "\n")
    before, rest = README.read_text().split(BEGIN)
    README.write_text("\n".join([f"{before}{BEGIN}", *lines(documents), f"{END}{rest.split(END)[1]}"]))
    first = [d for d in documents if d["isa"] == "best" and d["threads"] == 1]
    PICTURE.write_text(picture.bars([(d["model"], best_by_runtime(d)) for d in first], TITLES))


def best(document: Document, runtime: str, kind: str = "") -> tuple[str, float] | None:
    """Variant and median of the fastest variant of a runtime; `kind` int8 or float."""
    found = [
        (label.split(" ")[1], one["median_ms"])
        for label, one in document["figures"].items()
        if label.split(" ")[0] == runtime and label.split(" ")[1].startswith(kind) and "median_ms" in one
    ]
    return min(found, key=lambda item: item[1], default=None)


def best_by_runtime(document: Document) -> dict[str, float]:
    """Median in ms of the best variant of each runtime that runs the model."""
    found = {runtime: best(document, runtime) for runtime in RUNTIMES}
    return {runtime: one[1] for runtime, one in found.items() if one}


def ratio(document: Document) -> float | None:
    """Median of the best peer over ours; None if either is missing."""
    medians = best_by_runtime(document)
    peers = [ms for runtime, ms in medians.items() if runtime != "edgeml"]
    return min(peers) / medians["edgeml"] if peers and "edgeml" in medians else None


def lines(documents: list[Document]) -> Iterator[str]:
    """Markdown: a table for each mode and thread count, then footprint, then what does not run."""
    if not documents:
        return
    yield from machine_lines(documents)
    for isa, threads in sorted(
        {(d["isa"], d["threads"]) for d in documents}, key=lambda key: (key[0] != "best", key[1])
    ):
        part = [d for d in documents if (d["isa"], d["threads"]) == (isa, threads)]
        yield ""
        yield f"### {threads} thread{'s' if threads > 1 else ''}" + (", AVX2 only" if isa == "avx2" else "")
        yield ""
        yield from speed_table(part)
    first = [d for d in documents if d["isa"] == "best" and d["threads"] == 1]
    yield from ("", "### Load, memory, size", "")
    yield from footprint_table(first)
    yield from ("", "### What does not run", "")
    yield from failures(first)


def machine_lines(documents: list[Document]) -> Iterator[str]:
    newest = max(documents, key=lambda d: str(d["machine"]["date"]))
    machine = newest["machine"]
    yield f"{machine['cpu']}, {machine['cpus']} CPUs, Linux {machine['kernel']}, Python {machine['python']}, {machine['date']}."
    commits = sorted({d["machine"]["edgeml_commit"] for d in documents})
    versions = ", ".join(f"{TITLES[r]} {one['version']}" for r, one in newest["runtimes"].items())
    yield f"{versions}; edgeml at {', '.join(commits)}."


def speed_table(documents: list[Document]) -> Iterator[str]:
    """Medians in ms of the best int8 and the best float of each runtime, and the ratio of the best of all to ours."""
    peers = [r for r in RUNTIMES if r != "edgeml"]
    yield f"| model | edgeml ms | p99 | {' | '.join(f'{TITLES[r]} int8 / float' for r in peers)} | best peer / edgeml |"
    yield "|---" * (len(peers) + 4) + "|"
    ratios = []
    for d in documents:
        ours = d["figures"].get(OURS, {})
        mine = (milliseconds(ours["median_ms"]), milliseconds(ours["p99_ms"])) if "median_ms" in ours else ("-", "-")
        cells = [f"{cell(best(d, r, 'int8'))} / {cell(best(d, r, 'float'))}" for r in peers]
        one = ratio(d)
        ratios += [one] if one else []
        yield f"| {d['model']} | {mine[0]} | {mine[1]} | {' | '.join(cells)} | {f'**{one:.2f}**' if one else '-'} |"
    if ratios:
        mean = math.exp(sum(map(math.log, ratios)) / len(ratios))
        behind = sum(one < 1 for one in ratios)
        yield ""
        yield f"Geometric mean of the ratio over {len(ratios)} models: {mean:.2f}; edgeml is behind the best peer on {behind}."


def cell(found: tuple[str, float] | None) -> str:
    return milliseconds(found[1]) if found else "-"


def milliseconds(ms: float) -> str:
    """Three significant digits."""
    return f"{ms:.{max(0, 2 - math.floor(math.log10(ms)))}f}"


def footprint_table(documents: list[Document]) -> Iterator[str]:
    """Of the model that most peers run in int8: import, load, first run, memory over Python with numpy, installed size."""
    chosen = [d for d in documents if d["model"] == "mobilenetv2_100_224"] or documents[:1]
    for d in chosen:
        yield f"On `{d['model']}`; memory is what the process has more than Python with numpy after its first runs; size without numpy."
        yield ""
        yield "| runtime | import ms | load ms | first run ms | memory MB | installed MB |"
        yield "|---|---|---|---|---|---|"
        for label, one in d["figures"].items():
            if "median_ms" in one:
                size = d["runtimes"][label.split(" ")[0]]["installed_bytes"]
                memory = one["rss_bytes"] - one["rss_base_bytes"]
                yield (
                    f"| {TITLES[label.split(' ')[0]]} {label.split(' ')[1]} | {one['import_ms']:.0f} | {one['load_ms']:.1f} "
                    f"| {one['first_run_ms']:.1f} | {memory / 1e6:.1f} | {size / 1e6:.1f} |"
                )


def failures(documents: list[Document]) -> Iterator[str]:
    """Each contender without a figure, its error as it was given, and the models that it is true of."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for d in documents:
        for label, one in d["figures"].items():
            if "median_ms" not in one:
                reasons.setdefault((label, one["error"]), []).append(d["model"])
    for (label, error), where in sorted(reasons.items()):
        text = error.replace("|", "\\|").replace(str(REPOSITORY), "")
        yield f"- {label}, {'every model' if len(where) == len(documents) else ', '.join(where)}: {text}"
