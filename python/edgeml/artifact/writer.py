# SPDX-License-Identifier: Apache-2.0
"""Writes an artifact's content as bytes (artifact-format.md); the same content always gives the same bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeml.artifact import block_sparse, canonical_json
from edgeml.artifact import format as fmt
from edgeml.artifact.crc32c import crc32c
from edgeml.artifact.model import Content, Graph, Node, Tensor
from edgeml.artifact.operators import BY_NAME
from edgeml.errors import ArtifactError

_DTYPE_CODES = {dtype: code for code, dtype in fmt.DTYPES.items()}


def write(content: Content) -> bytes:
    """The bytes of the file.

    Raises:
        ArtifactError: the file would be larger than ARTIFACT_BYTES_MAX.
    """
    constants, offsets = _constants(content.graph.tensors)
    sections = {
        fmt.SECTION_GRAPH: _graph(content.graph, offsets),
        fmt.SECTION_CONSTANTS: constants,
        fmt.SECTION_METADATA: canonical_json.dump(content.metadata),
    }
    if content.telemetry is not None:
        sections[fmt.SECTION_TELEMETRY] = content.telemetry
    return _file(sections)


def stored_bytes(tensor: Tensor) -> int:
    """Bytes of a constant's data in the file; 0 for an activation."""
    if tensor.data is None:
        return 0
    return block_sparse.encoded_bytes(tensor.data, tensor.block_rows) if tensor.block_rows else tensor.data.nbytes


def _file(sections: Mapping[int, bytes]) -> bytes:
    offset = fmt.aligned(fmt.HEADER.size + fmt.SECTION_ROW.size * len(sections))
    rows, body = bytearray(), bytearray()
    first = offset
    for section_id, data in sections.items():
        body += bytes(offset - first - len(body)) + data
        rows += fmt.SECTION_ROW.pack(section_id, 0, offset, len(data), crc32c(data), 0)
        end = offset + len(data)
        offset = fmt.aligned(end)
    if end > fmt.ARTIFACT_BYTES_MAX:
        raise ArtifactError(
            f"the artifact would have {end} bytes, the format ends at {fmt.ARTIFACT_BYTES_MAX}; use a smaller model"
        )
    head = fmt.HEADER.pack(fmt.MAGIC, fmt.VERSION, 0, end, len(sections), crc32c(bytes(rows)), 0)[:-4]
    head += crc32c(head).to_bytes(4, "little")
    gap = bytes(first - len(head) - len(rows))
    return bytes(head + rows + gap + body)


def _constants(tensors: Sequence[Tensor]) -> tuple[bytes, dict[int, int]]:
    blob, offsets = bytearray(), {}
    for index, tensor in enumerate(tensors):
        if tensor.data is not None:
            blob += bytes(fmt.aligned(len(blob)) - len(blob))
            offsets[index] = len(blob)
            blob += _data(tensor, tensor.data)
    return bytes(blob), offsets


def _data(tensor: Tensor, data: npt.NDArray[Any]) -> bytes:
    if tensor.block_rows:
        return block_sparse.encode(data, tensor.block_rows)
    return np.ascontiguousarray(data, dtype=tensor.dtype.newbyteorder("<")).tobytes()


def _graph(graph: Graph, offsets: Mapping[int, int]) -> bytes:
    names = [tensor.name.encode() for tensor in graph.tensors] + [node.name.encode() for node in graph.nodes]
    indices = [i for node in graph.nodes for i in (*node.inputs, *node.outputs)]
    attributes = [a for node in graph.nodes for a in node.attributes]
    counts = (len(graph.tensors), len(graph.nodes), len(graph.inputs), len(graph.outputs))
    parts = [fmt.GRAPH_HEAD.pack(*counts, sum(map(len, names)), len(indices), len(attributes), 0)]
    parts += [
        _tensor(tensor, name, offsets.get(i, 0))
        for i, (tensor, name) in enumerate(zip(graph.tensors, names, strict=False))
    ]
    first_index = first_attribute = 0
    for node, name in zip(graph.nodes, names[len(graph.tensors) :], strict=True):
        parts.append(_node(node, name, first_index, first_attribute))
        first_index += len(node.inputs) + len(node.outputs)
        first_attribute += len(node.attributes)
    parts.append(np.array([*graph.inputs, *graph.outputs, *indices], dtype="<u4").tobytes())
    parts.append(np.array(attributes, dtype="<i4").tobytes())
    return b"".join(parts + names)


def _tensor(tensor: Tensor, name: bytes, offset: int) -> bytes:
    dims = tensor.dims + (0,) * (fmt.TENSOR_RANK_MAX - len(tensor.dims))
    kind = fmt.KIND_ACTIVATION if tensor.data is None else fmt.KIND_CONSTANT
    size = 0 if tensor.data is None else stored_bytes(tensor)
    code = _DTYPE_CODES[tensor.dtype]
    quantization = (tensor.scale, tensor.zero_point)
    return fmt.TENSOR_RECORD.pack(
        code, kind, len(tensor.dims), tensor.block_rows, len(name), 0, *dims, *quantization, offset, size, b""
    )


def _node(node: Node, name: bytes, first_index: int, first_attribute: int) -> bytes:
    counts = (len(node.inputs), len(node.outputs), len(node.attributes), len(name))
    return fmt.NODE_RECORD.pack(BY_NAME[node.op].code, *counts, first_index, first_attribute)
