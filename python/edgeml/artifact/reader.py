# SPDX-License-Identifier: Apache-2.0
"""The readable reader of `.edgeml` files: follows docs/design/artifact-format.md heading by heading.

Devices run cpp/src/model/reader.cpp; this one needs no compiled code, and the C++ one is tested against it. A file
is an adversary: every count, offset and value is checked before it is used, and every breach is an ArtifactError.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from edgeml.artifact import block_sparse, canonical_json
from edgeml.artifact import format as fmt
from edgeml.artifact.crc32c import crc32c
from edgeml.artifact.model import Content, Graph, Node, Tensor
from edgeml.artifact.operator_rules import check_node
from edgeml.artifact.operators import BY_CODE
from edgeml.errors import ArtifactError


def read(data: bytes) -> Content:
    """Check the bytes of a file and return what they hold. Raises ArtifactError."""
    sections = _read_sections(data)
    graph = _read_graph(sections[fmt.SECTION_GRAPH], sections[fmt.SECTION_CONSTANTS])
    metadata = _read_json("metadata", sections[fmt.SECTION_METADATA], fmt.METADATA_BYTES_MAX)
    telemetry = sections.get(fmt.SECTION_TELEMETRY)
    if telemetry is not None:
        _read_json("telemetry schema", telemetry, fmt.TELEMETRY_BYTES_MAX)
    return Content(graph, metadata, telemetry)


def _require(condition: object, sentence: str) -> None:
    if not condition:
        raise ArtifactError(sentence)


# 1. Header


def _read_sections(data: bytes) -> dict[int, bytes]:
    """Check header and section table; return the bytes of each section by id."""
    _require(
        len(data) >= fmt.HEADER.size,
        f"the file has {len(data)} bytes, less than a header; it is truncated or no .edgeml file",
    )
    magic, version, flags, size, count, table_crc, head_crc = fmt.HEADER.unpack_from(data)
    _require(magic == fmt.MAGIC, "not an .edgeml file: the first 8 bytes are not its magic")
    _require(version == fmt.VERSION, f"format version {version} is not {fmt.VERSION}; update edgeml")
    _require(
        crc32c(data[: fmt.HEADER.size - 4]) == head_crc, "the header is damaged (CRC-32C differs); fetch the file again"
    )
    _require(flags == 0 and not any(data[32:60]), "the header has bits set that version 1 does not know")
    _require(
        size == len(data),
        f"the header says {size} bytes, the file has {len(data)}; it is truncated or has bytes appended",
    )
    _require(size <= fmt.ARTIFACT_BYTES_MAX, f"the file has {size} bytes, more than {fmt.ARTIFACT_BYTES_MAX}")
    _require(1 <= count <= fmt.SECTIONS_MAX, f"section count {count} is not in 1..{fmt.SECTIONS_MAX}")
    return _read_section_table(data, count, table_crc)


# 2. Section table


def _read_section_table(data: bytes, count: int, table_crc: int) -> dict[int, bytes]:
    table_end = fmt.HEADER.size + count * fmt.SECTION_ROW.size
    _require(
        table_end <= len(data), f"the table of {count} sections ends at {table_end}, the file has {len(data)} bytes"
    )
    table = data[fmt.HEADER.size : table_end]
    _require(crc32c(table) == table_crc, "the section table is damaged (CRC-32C differs); fetch the file again")
    sections: dict[int, bytes] = {}
    end, last_id = table_end, 0
    for section_id, zero_a, offset, size, crc, zero_b in fmt.SECTION_ROW.iter_unpack(table):
        name = fmt.SECTION_NAMES.get(section_id)
        _require(name, f"section id {section_id} is unknown in version 1")
        _require(section_id > last_id, f"section {name} is not in ascending order of id")
        _require(zero_a == zero_b == 0, f"the row of section {name} has unused bytes that are not zero")
        _require(offset % fmt.ALIGNMENT == 0, f"section {name} begins at {offset}, not a multiple of {fmt.ALIGNMENT}")
        _require(
            end <= offset < end + fmt.ALIGNMENT, f"section {name} begins at {offset}, the bytes before it end at {end}"
        )
        _require(offset + size <= len(data), f"section {name} ends at {offset + size}, the file has {len(data)} bytes")
        _require(not any(data[end:offset]), f"the gap before section {name} is not zero")
        sections[section_id] = data[offset : offset + size]
        _require(
            crc32c(sections[section_id]) == crc, f"section {name} is damaged (CRC-32C differs); fetch the file again"
        )
        end, last_id = offset + size, section_id
    _require(end == len(data), f"the last section ends at {end}, the file has {len(data)} bytes")
    for needed in (fmt.SECTION_GRAPH, fmt.SECTION_CONSTANTS, fmt.SECTION_METADATA):
        _require(needed in sections, f"section {fmt.SECTION_NAMES[needed]} is missing")
    return sections


# 3. Graph section


class _GraphHead(NamedTuple):
    tensors: int
    nodes: int
    inputs: int
    outputs: int
    name_bytes: int
    indices: int
    attributes: int
    zero: int


class _Blobs(NamedTuple):
    """The tails of the graph section, walked front to back."""

    indices: tuple[int, ...]
    attributes: tuple[int, ...]
    names: Iterator[str]


def _read_graph(section: bytes, constants: bytes) -> Graph:
    _require(len(section) >= fmt.GRAPH_HEAD.size, f"the graph section has {len(section)} bytes, less than its head")
    head = _GraphHead(*fmt.GRAPH_HEAD.unpack_from(section))
    limits = {"tensor": (head.tensors, fmt.TENSORS_MAX), "node": (head.nodes, fmt.NODES_MAX)}
    limits |= {"output": (head.outputs, fmt.BORDERS_MAX)}
    _require(head.inputs <= fmt.BORDERS_MAX, f"input count {head.inputs} is not in 0..{fmt.BORDERS_MAX}")
    for what, (count, most) in limits.items():
        _require(1 <= count <= most, f"{what} count {count} is not in 1..{most}")
    _require(head.zero == 0, "the graph head has unused bytes that are not zero")
    sizes = [fmt.GRAPH_HEAD.size, head.tensors * fmt.TENSOR_RECORD.size, head.nodes * fmt.NODE_RECORD.size]
    sizes += [4 * head.inputs, 4 * head.outputs, 4 * head.indices, 4 * head.attributes, head.name_bytes]
    _require(sum(sizes) == len(section), f"the graph section has {len(section)} bytes, its counts need {sum(sizes)}")
    _, tensor_records, node_records, inputs, outputs, indices, attributes, names = _cut(section, sizes)

    tensor_rows = list(fmt.TENSOR_RECORD.iter_unpack(tensor_records))
    node_rows = list(fmt.NODE_RECORD.iter_unpack(node_records))
    lengths = [row[4] for row in tensor_rows] + [row[4] for row in node_rows]
    blobs = _Blobs(_integers(indices, "<u4"), _integers(attributes, "<i4"), _read_names(names, lengths))
    _require(all(i < head.tensors for i in blobs.indices), "a node names a tensor that does not exist")
    tensors = _read_tensors(tensor_rows, blobs.names, constants)
    nodes = _read_nodes(node_rows, blobs)
    graph = Graph(tensors, nodes, _integers(inputs, "<u4"), _integers(outputs, "<u4"))
    _check_sparse_uses(graph)
    _check_order(graph)
    _check_batch(graph)
    for node in graph.nodes:
        check_node(graph, node)
    return graph


def _cut(section: bytes, sizes: list[int]) -> Iterator[bytes]:
    start = 0
    for size in sizes:
        yield section[start : start + size]
        start += size


def _integers(blob: bytes, dtype: str) -> tuple[int, ...]:
    return tuple(np.frombuffer(blob, dtype=dtype).tolist())


def _read_names(blob: bytes, lengths: list[int]) -> Iterator[str]:
    _require(sum(lengths) == len(blob), f"the names have {len(blob)} bytes, the records say {sum(lengths)}")
    names, start = [], 0
    for length in lengths:
        _require(1 <= length <= fmt.NAME_BYTES_MAX, f"a name has {length} bytes, not 1..{fmt.NAME_BYTES_MAX}")
        try:
            names.append(blob[start : start + length].decode())
        except UnicodeDecodeError as error:
            raise ArtifactError(f"the name at byte {start} of the name blob is not UTF-8") from error
        start += length
    return iter(names)


def _read_nodes(rows: list[tuple[Any, ...]], blobs: _Blobs) -> tuple[Node, ...]:
    nodes, index, attribute = [], 0, 0
    for code, inputs, outputs, attributes, _, first_index, first_attribute in rows:
        name = next(blobs.names)
        _require(code in BY_CODE, f"node {name!r} has operator code {code}, unknown in version 1")
        operator = BY_CODE[code]
        _require(
            first_index == index and first_attribute == attribute,
            f"node {name!r} does not begin where the one before ends",
        )
        _require(
            operator.inputs_min <= inputs <= operator.inputs_max and outputs == 1,
            f"node {name!r} has {inputs} inputs, {outputs} outputs",
        )
        _require(
            operator.attributes is None or attributes == len(operator.attributes),
            f"node {name!r} has {attributes} attributes, not those of {operator.name}",
        )
        middle, index = index + inputs, index + inputs + outputs
        attribute += attributes
        _require(
            index <= len(blobs.indices) and attribute <= len(blobs.attributes),
            f"node {name!r} reads past the index or attribute blob",
        )
        spans = (
            blobs.indices[first_index:middle],
            blobs.indices[middle:index],
            blobs.attributes[first_attribute:attribute],
        )
        nodes.append(Node(operator.name, name, *spans))
    _require(
        index == len(blobs.indices) and attribute == len(blobs.attributes),
        "the index or attribute blob has entries of no node",
    )
    return tuple(nodes)


def _check_order(graph: Graph) -> None:
    """Every tensor is set once, and before it is read."""
    known = {i for i, tensor in enumerate(graph.tensors) if tensor.data is not None}
    for i in (*graph.inputs, *graph.outputs):
        _require(i < len(graph.tensors), f"graph input or output {i} is no tensor")
        _require(graph.tensors[i].data is None, f"graph input or output {graph.tensors[i].name!r} is a constant")
    _require(len(set(graph.inputs)) == len(graph.inputs), "a tensor is a graph input twice")
    known.update(graph.inputs)
    for node in graph.nodes:
        for i in node.inputs:
            _require(i in known, f"node {node.name!r} reads {graph.tensors[i].name!r} before it is set")
        for i in node.outputs:
            _require(i not in known, f"node {node.name!r} sets {graph.tensors[i].name!r}, which is set already")
            known.add(i)
    _require(len(known) == len(graph.tensors), "a tensor is neither constant nor input nor the output of a node")


def _check_batch(graph: Graph) -> None:
    """One free batch for all activations, or one fixed batch for the quantized ones."""
    activations = [tensor for tensor in graph.tensors if tensor.data is None]
    quantized = [tensor for tensor in activations if tensor.scale]
    _require(all(tensor.dims for tensor in quantized), "a quantized activation has no batch axis")
    batches = {tensor.dims[0] for tensor in quantized}
    batches |= {0 for tensor in activations if tensor.dims[:1] == (0,)}
    if 0 in batches:
        batches |= {tensor.dims[0] if tensor.dims else -1 for tensor in activations}
    _require(len(batches) <= 1, f"the activations have different batches: {sorted(batches)}")


# 4. Tensor record


def _read_tensors(rows: list[tuple[Any, ...]], names: Iterator[str], constants: bytes) -> tuple[Tensor, ...]:
    tensors, end = [], 0
    for row in rows:
        code, kind, rank, block_rows, _, zero = row[:6]
        dims, (scale, zero_point, offset, size, tail) = row[6:14], row[14:]
        name = next(names)
        _require(code in fmt.DTYPES, f"tensor {name!r} has dtype {code}, unknown in version 1")
        _require(kind in (fmt.KIND_ACTIVATION, fmt.KIND_CONSTANT), f"tensor {name!r} has kind {kind}")
        _require(rank <= fmt.TENSOR_RANK_MAX, f"tensor {name!r} has rank {rank}, not 0..{fmt.TENSOR_RANK_MAX}")
        _require(
            zero == 0 and not any(tail) and not any(dims[rank:]) and (kind == fmt.KIND_CONSTANT or block_rows == 0),
            f"tensor {name!r} has unused bytes that are not zero",
        )
        tensor = Tensor(name, fmt.DTYPES[code], dims[:rank], scale, zero_point, block_rows=block_rows)
        if kind == fmt.KIND_CONSTANT:
            _check_quantization(tensor, quantized=False)
            tensors.append(_with_data(tensor, constants, end, offset, size))
            end = offset + size
        else:
            _require(offset == size == 0, f"activation {name!r} has data")
            has_scale = scale != 0 or np.signbit(scale) or zero_point != 0
            _check_quantization(tensor, quantized=tensor.dtype == np.int8 and has_scale)
            _check_dims(tensor, first=0, elements_max=fmt.TENSOR_ELEMENTS_MAX)
            tensors.append(tensor)
    _require(end == len(constants), f"the constants section has {len(constants)} bytes, the tensors use {end}")
    return tuple(tensors)


def _check_dims(tensor: Tensor, *, first: int, elements_max: int) -> None:
    """Dim 0 >= first, the others in 1..DIM_MAX; a batch does not count towards the elements."""
    if not tensor.dims:
        return
    elements = 1 if tensor.scale or tensor.dims[0] == 0 else tensor.dims[0]
    _require(first <= tensor.dims[0] <= fmt.DIM_MAX, f"tensor {tensor.name!r} has dims {tensor.dims}")
    for dim in tensor.dims[1:]:
        _require(1 <= dim <= fmt.DIM_MAX, f"tensor {tensor.name!r} has dims {tensor.dims}")
        elements *= dim
    _require(elements <= elements_max, f"tensor {tensor.name!r} with dims {tensor.dims} has too many elements")


def _check_quantization(tensor: Tensor, *, quantized: bool) -> None:
    scale, zero_point = np.float32(tensor.scale), tensor.zero_point
    if quantized:
        _require(np.isfinite(scale) and scale >= np.finfo(np.float32).tiny, f"tensor {tensor.name!r} has scale {scale}")
        _require(-128 <= zero_point <= 127, f"tensor {tensor.name!r} has zero point {zero_point}, not -128..127")
    else:
        _require(
            scale == 0 and not np.signbit(scale) and zero_point == 0,
            f"tensor {tensor.name!r} is not quantized but has a scale or zero point",
        )


def _with_data(tensor: Tensor, constants: bytes, end: int, offset: int, size: int) -> Tensor:
    name = tensor.name
    _check_dims(tensor, first=1, elements_max=fmt.ARTIFACT_BYTES_MAX)
    needed = int(np.prod(tensor.dims, dtype=object)) * tensor.dtype.itemsize
    _require(size == needed or tensor.block_rows, f"constant {name!r} has {size} bytes, its dims need {needed}")
    _require(offset == fmt.aligned(end), f"constant {name!r} begins at {offset}, the one before ends at {end}")
    _require(
        offset + size <= len(constants),
        f"constant {name!r} ends at {offset + size}, the section has {len(constants)} bytes",
    )
    _require(not any(constants[end:offset]), f"the gap before constant {name!r} is not zero")
    if tensor.dtype == np.bool_:
        _require(max(constants[offset : offset + size]) <= 1, f"constant {name!r} has a truth value that is not 0 or 1")
    if tensor.block_rows:
        return dataclasses.replace(tensor, data=_block_sparse(tensor, constants[offset : offset + size]))
    data = np.frombuffer(constants[offset : offset + size], dtype=tensor.dtype.newbyteorder("<"))
    return dataclasses.replace(tensor, data=data.reshape(tensor.dims))


# 4.1 Block-sparse constants


def _block_sparse(tensor: Tensor, data: bytes) -> npt.NDArray[np.int8]:
    name = tensor.name
    _require(tensor.block_rows in block_sparse.BLOCK_ROWS, f"constant {name!r} has block rows {tensor.block_rows}")
    _require(
        tensor.dtype == np.int8 and len(tensor.dims) >= 2,
        f"constant {name!r} is block-sparse, which only s8 of rank 2 and more may be",
    )
    return block_sparse.decode(data, tensor.dims, tensor.block_rows, name)


def _check_sparse_uses(graph: Graph) -> None:
    for node in graph.nodes:
        for position, i in enumerate(node.inputs):
            weights = position == 1 and node.op in ("conv2d", "fully_connected")
            _require(
                weights or not graph.tensors[i].block_rows,
                f"node {node.name!r}: {graph.tensors[i].name!r} is block-sparse, which only the weights of conv2d and "
                "fully_connected may be",
            )


# 5. Operators: operator_rules.py


# 6. Metadata (and the telemetry schema)


def _read_json(what: str, section: bytes, bytes_max: int) -> Mapping[str, Any]:
    _require(len(section) <= bytes_max, f"the {what} has {len(section)} bytes, more than {bytes_max}")
    try:
        return canonical_json.load(section)
    except ValueError as error:
        raise ArtifactError(f"the {what} is not a JSON object with sorted keys and without spaces: {error}") from error
