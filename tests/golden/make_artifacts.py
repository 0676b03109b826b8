# SPDX-License-Identifier: Apache-2.0
"""Writes the golden artifacts, random networks, and one hostile file per code of error_codes.def in artifact_errors/.

    PYTHONPATH=python:tests/python python tests/golden/make_artifacts.py

Each hostile file is a tiny sound artifact with one thing wrong, under right checksums unless the checksum is what is wrong.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np

from edgeml.artifact import format as fmt
from edgeml.artifact.crc32c import crc32c
from edgeml.artifact.model import Content, Graph
from edgeml.artifact.writer import write
from support.plain_artifact import every_plain_operator
from support.small_artifact import GraphBuilder, every_operator
from support.sparse_artifact import sparse_layers

GOLDEN = Path(__file__).parent
METADATA = {"format": 1, "name": "golden"}
X, Q, WEIGHTS, BIAS, MULTIPLIER, Y, TABLE, P = range(8)  # tensors of tiny()
QUANTIZE, DENSE, SOFTMAX = range(3)  # its nodes
INDICES = (X, Q, Q, WEIGHTS, BIAS, MULTIPLIER, Y, Y, TABLE, P)  # its index blob


def tiny() -> bytes:
    """quantize [N, 4] -> fully_connected [N, 3] -> softmax."""
    b = GraphBuilder()
    x = b.activation((4,), 0, 0, np.float32)
    q = b.node("quantize", [x], b.activation((4,)))
    constants = b.weights((3, 4), 3)
    y = b.node("fully_connected", [q, *constants], b.activation((3,)), [-128, 127])
    table = b.constant(np.round(2.0**23 * np.exp(-0.1 * np.arange(256))).astype(np.uint32))
    p = b.node("softmax", [y, table], b.activation((3,), 0, 0, np.float32))
    return write(Content(Graph(tuple(b.tensors), tuple(b.nodes), (x,), (p,)), METADATA, None))


def seal(data: bytearray) -> bytearray:
    """Make every checksum right again."""
    for row in range(int.from_bytes(data[24:28], "little")):
        at = fmt.HEADER.size + row * fmt.SECTION_ROW.size
        _, _, offset, size, _, _ = fmt.SECTION_ROW.unpack_from(data, at)
        data[at + 24 : at + 28] = crc32c(bytes(data[offset : offset + size])).to_bytes(4, "little")
    return seal_header(data)


def seal_header(data: bytearray) -> bytearray:
    """Make the checksums of table and header right again."""
    rows = min(int.from_bytes(data[24:28], "little"), 3)
    table = bytes(data[fmt.HEADER.size : fmt.HEADER.size + rows * fmt.SECTION_ROW.size])
    data[28:32] = crc32c(table).to_bytes(4, "little")
    data[60:64] = crc32c(bytes(data[:60])).to_bytes(4, "little")
    return data


def section(data: bytes, row: int) -> int:
    """Offset of the section in this row of the table."""
    return int(fmt.SECTION_ROW.unpack_from(data, fmt.HEADER.size + row * fmt.SECTION_ROW.size)[2])


def patched(at: Callable[[bytes], int], layout: str, value: float) -> bytes:
    """Return the tiny artifact with one field changed, sealed."""
    data = bytearray(tiny())
    struct.pack_into("<" + layout, data, at(data), value)
    return bytes(seal(data))


def graph(offset: int) -> Callable[[bytes], int]:
    return lambda data: section(data, 0) + offset


def tensor(index: int, offset: int) -> Callable[[bytes], int]:
    return graph(fmt.GRAPH_HEAD.size + index * fmt.TENSOR_RECORD.size + offset)


def node(index: int, offset: int) -> Callable[[bytes], int]:
    return tensor(P + 1, index * fmt.NODE_RECORD.size + offset)


def index(at: int) -> Callable[[bytes], int]:
    return node(SOFTMAX + 1, 4 * (2 + at))  # one graph input and one graph output stand before the blob


def attribute(at: int) -> Callable[[bytes], int]:
    return index(len(INDICES) + at)


def name(at: int) -> Callable[[bytes], int]:
    return attribute(2 + at // 4) if at % 4 == 0 else lambda data: attribute(2)(data) + at


def constant(which: int, at: int) -> Callable[[bytes], int]:
    """Place a byte of a constant, whose offset its tensor record holds."""

    def place(data: bytes) -> int:
        (offset,) = struct.unpack_from("<Q", data, tensor(which, 48)(data))
        return section(data, 1) + int(offset) + at

    return place


def unsealed(at: int, value: int) -> bytes:
    data = bytearray(tiny())
    data[at] = value
    return bytes(data)


def without_metadata() -> bytes:
    """Return the first two sections alone, as a whole file."""
    data = bytearray(tiny())
    _, _, offset, size, _, _ = fmt.SECTION_ROW.unpack_from(data, fmt.HEADER.size + fmt.SECTION_ROW.size)
    del data[offset + size :]
    struct.pack_into("<QI", data, 16, len(data), 2)
    end = fmt.HEADER.size + 2 * fmt.SECTION_ROW.size
    gap = section(data, 0) - fmt.aligned(end)  # what the shorter table leaves
    del data[end : end + gap]
    data[end : fmt.aligned(end)] = bytes(fmt.aligned(end) - end)
    struct.pack_into("<Q", data, 16, len(data))
    for row in range(2):
        struct.pack_into("<Q", data, fmt.HEADER.size + row * fmt.SECTION_ROW.size + 8, section(data, row) - gap)
    return bytes(seal(data))


def many_sections() -> bytes:
    data = bytearray(tiny())
    struct.pack_into("<I", data, 24, fmt.SECTIONS_MAX + 1)
    return bytes(seal_header(data))


def spaced_metadata() -> bytes:
    data = bytearray(tiny())
    at = data.index(b'"format":1,')
    data[at : at + 11] = b'"format" :1'
    return bytes(seal(data))


def one_node(op: str, shape: tuple[int, ...], out: tuple[int, ...], attributes: list[int]) -> bytes:
    b = GraphBuilder()
    x = b.activation(shape)
    y = b.node(op, [x], b.activation(out), attributes)
    return write(Content(Graph(tuple(b.tensors), tuple(b.nodes), (x,), (y,)), METADATA, None))


def hostile() -> dict[str, bytes]:
    """File stem, <code>_<why>, -> bytes."""
    data = tiny()
    window = [4096, 4096, 1, 1, 1, 1, 0, 0, 0, 0]
    return {
        "truncated_last_byte": data[:-1],
        "bad_magic_line_end": unsealed(6, 0x0A),
        "bad_version_2": unsealed(8, 2),
        "bad_header_checksum_bit": unsealed(60, data[60] ^ 1),
        "bad_file_size_appended": data + b"\0",
        "bad_section_count_4097": many_sections(),
        "bad_table_checksum_bit": unsealed(72, data[72] ^ 1),
        "bad_section_unaligned": patched(lambda _: 64 + 32 + 8, "B", data[64 + 32 + 8] + 1),
        "unknown_section_9": patched(lambda _: 64 + 64, "I", 9),
        "missing_section_metadata": without_metadata(),
        "bad_section_checksum_bit": unsealed(section(data, 1), data[section(data, 1)] ^ 1),
        "nonzero_unused_flags": patched(lambda _: 12, "I", 1),
        "bad_graph_size_indices": patched(graph(20), "I", len(INDICES) + 1),
        "bad_tensor_dtype": patched(tensor(Q, 0), "B", 99),
        "bad_tensor_block_rows": patched(tensor(WEIGHTS, 3), "B", 3),
        "bad_dims_rank": patched(tensor(Q, 2), "B", 9),
        "bad_quantization_nan": patched(tensor(Q, 40), "f", np.nan),
        "bad_constant_data_bytes": patched(tensor(WEIGHTS, 56), "Q", 13),
        "bad_name_utf8": patched(name(0), "B", 0xFF),
        "bad_node_outputs": patched(node(QUANTIZE, 3), "B", 2),
        "unknown_operator_999": patched(node(DENSE, 0), "H", 999),
        "bad_index_beyond": patched(index(1), "I", 0xFFFFFFFF),
        "bad_order_used_before_made": patched(index(0), "I", Y),
        "bad_operand_table_of_floats": patched(index(8), "I", MULTIPLIER),
        "bad_attribute_act_min": patched(attribute(0), "i", -129),
        "shape_mismatch_channels": patched(tensor(Y, 12), "I", 4),
        "bad_weight_minus_128": patched(constant(WEIGHTS, 5), "b", -128),
        "accumulator_overflow_bias": patched(constant(BIAS, 0), "i", 2**31 - 1),
        "bad_multiplier_zero": patched(constant(MULTIPLIER, 4), "f", 0.0),
        "bad_table_first_zero": patched(constant(TABLE, 0), "I", 0),
        "bad_json_space": spaced_metadata(),
        "too_much_work_pool": one_node("max_pool2d", (1, 8191, 8191), (1, 4096, 4096), window),
        "arena_too_large_plane": one_node("transpose", (1, 32768, 32767), (1, 32767, 32768), [0, 1, 3, 2, 4, 5, 6, 7]),
    }


if __name__ == "__main__":
    (GOLDEN / "every_operator.edgeml").write_bytes(write(every_operator()))
    (GOLDEN / "every_plain_operator.edgeml").write_bytes(write(every_plain_operator()))
    (GOLDEN / "sparse_layers.edgeml").write_bytes(write(sparse_layers()))
    for stem, content in hostile().items():
        (GOLDEN / "artifact_errors" / f"{stem}.edgeml").write_bytes(content)
