# SPDX-License-Identifier: Apache-2.0
"""Show what is in an artifact: inputs, outputs, layers with their shapes and bytes, planned arena, metadata, telemetry.

    edgeml inspect kws.edgeml
    edgeml inspect kws.edgeml --svg graph.svg

The file is read twice, by the pure-Python reader and by the core that devices run: a damaged file is an error. The arena
is what the core plans for a batch of 1 (or the declared one); it is the same on every machine. Its picture has a line per
node: `#` is written there, `=` is kept for later nodes, `w` is the node's workspace. The column `weights` gives the share of
weights that are not zero, after `dense` or, where a layer is stored without its zeros, the block: 1x4, 2x4 or 4x4.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from edgeml import _core
from edgeml.artifact import Artifact
from edgeml.artifact.model import Graph, Node, Tensor
from edgeml.artifact.writer import stored_bytes
from edgeml.cli.arena_picture import arena_picture
from edgeml.cli.graph_picture import graph_picture
from edgeml.errors import UsageError
from edgeml.observe.schema import TelemetrySchema
from edgeml.whole_file import write_whole_file


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the verb."""
    parser.add_argument("artifact", metavar="MODEL.edgeml", type=Path)
    parser.add_argument("--svg", metavar="GRAPH.svg", type=Path, help="draw the graph into a file")
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(args: argparse.Namespace) -> int:
    """Run the verb."""
    artifact = Artifact.load(args.artifact)
    document = describe(artifact)
    if args.svg is not None:
        _draw(args.svg, artifact)
    if args.json:
        print(json.dumps(document, indent=2))
    else:
        print("\n".join(_lines(document)))
    return 0


def _draw(path: Path, artifact: Artifact) -> None:
    picture = graph_picture(artifact.graph, str(artifact.metadata.get("name", "model")))
    try:
        write_whole_file(path, picture.encode())
    except OSError as error:
        raise UsageError(
            f"cannot write {path}: {error.strerror}; free space or choose another place with --svg"
        ) from error


def describe(artifact: Artifact) -> dict[str, Any]:
    """Everything that the verb shows, ready for JSON."""
    graph = artifact.graph
    return {
        "bytes": len(artifact.to_bytes()),
        "model_id": artifact.model_id.hex(),
        "inputs": [_tensor(graph.tensors[i]) for i in graph.inputs],
        "outputs": [_tensor(graph.tensors[i]) for i in graph.outputs],
        "nodes": [_node(graph, node) for node in graph.nodes],
        "constant_bytes": sum(stored_bytes(tensor) for tensor in graph.tensors),
        **_arena(artifact),
        "metadata": dict(artifact.metadata),
        "telemetry": _telemetry(artifact.telemetry_bytes),
    }


def _arena(artifact: Artifact) -> dict[str, Any]:
    graph = artifact.graph
    session = _core.Session(artifact.to_bytes(), 1, "ref")  # bound to the declared batch, or to 1
    writer = {graph.tensors[node.outputs[0]].name: i for i, node in enumerate(graph.nodes)}
    return {
        "arena_bytes": session.arena_bytes,
        "live_bytes_max": session.live_bytes_max,
        "arena_blocks": [
            {
                "tensors": block.tensors,
                "workspace_of": block.workspace_of,
                "offset": block.offset,
                "bytes": block.bytes,
                "first": block.first,
                "last": block.last,
                "written": [writer.get(name, -1) for name in block.tensors],
            }
            for block in session.arena_blocks
        ],
    }


def _tensor(tensor: Tensor) -> dict[str, Any]:
    shape = ["N" if axis == 0 and dim == 0 else dim for axis, dim in enumerate(tensor.dims)]
    fields: dict[str, Any] = {"name": tensor.name, "dtype": tensor.dtype.name, "shape": shape}
    if tensor.scale:
        fields |= {"scale": tensor.scale, "zero_point": tensor.zero_point}
    return fields


def _node(graph: Graph, node: Node) -> dict[str, Any]:
    inputs = [graph.tensors[i] for i in node.inputs]
    y = graph.tensors[node.outputs[0]]
    has_weights = node.op in ("conv2d", "depthwise_conv2d", "fully_connected")
    macs = math.prod(inputs[1].dims) * math.prod(y.dims[2:]) if has_weights else 0
    return {
        "name": node.name,
        "op": node.op,
        "inputs": [tensor.name for tensor in inputs if tensor.data is None],
        "output": _tensor(y),
        "attributes": dict(node.named_attributes()),
        "constant_bytes": sum(stored_bytes(tensor) for tensor in inputs),
        "macs": macs,
        **(_weights(inputs[1]) if has_weights else {}),
    }


def _weights(tensor: Tensor) -> dict[str, Any]:
    """Share of the weights that are not zero, and the rows of a block where they are stored without zeros, else 0."""
    assert tensor.data is not None  # noqa: S101 (the reader has checked it)
    return {"density": np.count_nonzero(tensor.data) / tensor.data.size, "block_rows": tensor.block_rows}


def _telemetry(data: bytes | None) -> dict[str, Any] | None:
    if data is None:
        return None
    schema = TelemetrySchema.from_bytes(data)
    return {
        "schema_id": schema.id.hex(),
        "samples": schema.samples,
        "features": [feature.name for feature in schema.features],
        "slots": schema.slot_count,
    }


def _lines(document: dict[str, Any]) -> list[str]:
    metadata = document["metadata"]
    lines = [f"{metadata.get('name', 'model')}   {document['bytes']:,} bytes   model id {document['model_id']}"]
    for side in ("inputs", "outputs"):
        lines += [
            f"{side[:-1]:8s}{tensor['name']}  {tensor['dtype']} {_shape(tensor)}{_quantization(tensor)}{_range(tensor, metadata)}"
            for tensor in document[side]
        ]
    lines.append("")
    lines.append(f"{'layer':40s}{'operator':18s}{'output':20s}{'bytes':>12s}{'MACs':>14s}{'weights':>14s}")
    for node in document["nodes"]:
        row = f"{node['name'][-38:]:40s}{node['op']:18s}{_shape(node['output']):20s}"
        lines.append(f"{row}{node['constant_bytes']:12,}{node['macs']:14,}{_storage(node):>14s}".rstrip())
    macs = sum(node["macs"] for node in document["nodes"])
    arena = f"planned arena: {document['arena_bytes']:,} bytes (at least {document['live_bytes_max']:,} live at once)"
    lines.append(f"{'total':78s}{document['constant_bytes']:12,}{macs:14,}")
    lines += [arena, ""]
    if document["arena_blocks"]:
        names = [node["name"] for node in document["nodes"]]
        lines += [*arena_picture(document["arena_blocks"], names, document["arena_bytes"]), ""]
    lines += [f"{key}: {json.dumps(value)}" for key, value in sorted(metadata.items())]
    telemetry = document["telemetry"]
    if telemetry is None:
        lines.append("telemetry: none")
    else:
        counts = f"{len(telemetry['features'])} features, {telemetry['slots']} slots, {telemetry['samples']} samples"
        lines.append(f"telemetry: schema {telemetry['schema_id']}, {counts}")
    return lines


def _storage(node: dict[str, Any]) -> str:
    """How a layer's weights are stored: `2x4 20 %` in blocks, of all weights so many are not zero; `dense`."""
    if "density" not in node:
        return ""
    form = f"{node['block_rows']}x4" if node["block_rows"] else "dense"
    return f"{form} {100 * node['density']:.0f} %"


def _shape(tensor: dict[str, Any]) -> str:
    return "x".join(str(dim) for dim in tensor["shape"])


def _quantization(tensor: dict[str, Any]) -> str:
    return f"  scale {tensor['scale']:.6g} zero point {tensor['zero_point']}" if "scale" in tensor else ""


def _range(tensor: dict[str, Any], metadata: dict[str, Any]) -> str:
    """Of an input: what calibration saw of it."""
    bounds = metadata.get("golden", {}).get("inputs", {}).get(tensor["name"])
    return f"  {bounds[0]:g} to {bounds[1]:g}" if bounds else ""
