# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest

from edgeml.artifact import format as fmt
from edgeml.artifact.crc32c import crc32c
from edgeml.artifact.model import Content, Tensor
from edgeml.artifact.reader import read
from edgeml.artifact.writer import write
from edgeml.errors import ArtifactError
from edgeml.session import InferenceSession
from support.small_artifact import every_operator

DATA = write(every_operator())


def seal(data: bytearray) -> bytes:
    """Make every CRC right again, so that a test meets the rule it breaks and not the checksum."""
    count = int.from_bytes(data[24:28], "little")
    for row in range(count):
        at = fmt.HEADER.size + row * fmt.SECTION_ROW.size
        _, _, offset, size, _, _ = fmt.SECTION_ROW.unpack_from(data, at)
        data[at + 24 : at + 28] = crc32c(bytes(data[offset : offset + size])).to_bytes(4, "little")
    table = bytes(data[fmt.HEADER.size : fmt.HEADER.size + count * fmt.SECTION_ROW.size])
    data[28:32] = crc32c(table).to_bytes(4, "little")
    data[60:64] = crc32c(bytes(data[:60])).to_bytes(4, "little")
    return bytes(data)


def test_every_truncation_is_an_error() -> None:
    for size in range(len(DATA)):
        with pytest.raises(ArtifactError):
            read(DATA[:size])


def test_every_flipped_byte_is_an_error() -> None:
    """Every byte of header and section table, and one in seven of what their checksums cover."""
    for at in (*range(192), *range(192, len(DATA), 7)):
        broken = bytearray(DATA)
        broken[at] ^= 0xFF
        with pytest.raises(ArtifactError):
            read(bytes(broken))


def test_appended_bytes_are_an_error() -> None:
    with pytest.raises(ArtifactError, match="appended"):
        read(DATA + b"\0")


def test_random_damage_under_right_checksums_never_escapes(rng: np.random.Generator) -> None:
    """Whatever the bytes of the graph section, the reader returns a graph or raises ArtifactError."""
    _, _, start, size, _, _ = fmt.SECTION_ROW.unpack_from(DATA, fmt.HEADER.size)
    refused = 0
    for _ in range(250):
        broken = bytearray(DATA)
        for at in start + rng.integers(0, size, rng.integers(1, 4)):
            broken[at] = rng.choice([0, 1, 0x7F, 0x80, 0xFF, broken[at] ^ (1 << int(rng.integers(8)))])
        try:
            read(seal(broken))
        except ArtifactError:
            refused += 1
    assert refused > 125


def test_readers_agree_on_damaged_files(rng: np.random.Generator) -> None:
    """Under right checksums, the C++ reader takes a file exactly where this one does."""
    rows = [fmt.SECTION_ROW.unpack_from(DATA, fmt.HEADER.size + row * fmt.SECTION_ROW.size) for row in range(3)]
    for _ in range(400):
        broken = bytearray(DATA)
        _, _, start, size, _, _ = rows[int(rng.choice(3, p=[0.6, 0.3, 0.1]))]
        for at in start + rng.integers(0, size, rng.integers(1, 3)):
            broken[at] = rng.choice([0, 1, 0x7F, 0x80, 0xFF, broken[at] ^ (1 << int(rng.integers(8)))])
        data = seal(broken)
        assert takes(read, data) == takes(InferenceSession, data)


def takes(reader: Callable[[bytes], object], data: bytes) -> bool:
    try:
        reader(data)
    except ArtifactError:
        return False
    return True


@pytest.mark.parametrize(
    ("at", "value", "sentence"),
    [
        (0, b"ELF", "not an .edgeml file"),
        (8, b"\x02", "version 2"),
        (12, b"\x01", "bits set"),
        (40, b"\x01", "bits set"),
        (24, b"\x00", "section count 0"),
        (64, b"\x09", "section id 9"),
        (68, b"\x01", "unused bytes"),
    ],
)
def test_header_and_table(at: int, value: bytes, sentence: str) -> None:
    broken = bytearray(DATA)
    broken[at : at + len(value)] = value
    table_crc = crc32c(bytes(broken[64 : 64 + 96]))
    broken[28:32] = table_crc.to_bytes(4, "little")
    broken[60:64] = crc32c(bytes(broken[:60])).to_bytes(4, "little")
    with pytest.raises(ArtifactError, match=sentence):
        read(bytes(broken))


def change_tensor(content: Content, index: int, **changes: object) -> Content:
    tensors = list(content.graph.tensors)
    tensors[index] = dataclasses.replace(tensors[index], **changes)  # type: ignore[arg-type]
    return dataclasses.replace(content, graph=dataclasses.replace(content.graph, tensors=tuple(tensors)))


def change_attribute(content: Content, op: str, at: int, value: int) -> Content:
    nodes = list(content.graph.nodes)
    index = next(i for i, node in enumerate(nodes) if node.op == op)
    attributes = list(nodes[index].attributes)
    attributes[at] = value
    nodes[index] = dataclasses.replace(nodes[index], attributes=tuple(attributes))
    return dataclasses.replace(content, graph=dataclasses.replace(content.graph, nodes=tuple(nodes)))


def index_of(content: Content, op: str, input_at: int) -> int:
    return next(node for node in content.graph.nodes if node.op == op).inputs[input_at]


def data_of(tensor: Tensor) -> np.ndarray:
    assert tensor.data is not None
    return tensor.data.copy()


@pytest.mark.parametrize(
    ("op", "at", "value", "sentence"),
    [
        ("conv2d", 0, 0, "stride"),
        ("conv2d", 0, 2, "does not follow"),
        ("conv2d", 4, 3, "pad"),
        ("conv2d", 4, -1, "pad"),
        ("conv2d", 8, 2, "channels and groups"),
        ("conv2d", 8, 0, "weights are not"),
        ("conv2d", 9, -129, "activation bounds"),
        ("conv2d", 10, -128 - 1, "activation bounds"),
        ("depthwise_conv2d", 2, 4097, "dilation"),
        ("average_pool2d", 0, 4, "does not follow"),
        ("max_pool2d", 2, 5, "does not follow"),
        ("concat", 0, 0, "axis"),
        ("concat", 0, 4, "axis"),
        ("pad", 0, 1, "batch"),
        ("pad", 1, -1, "negative"),
        ("pad", 16, 128, "not an s8"),
        ("slice", 8, 2, "batch"),
        ("slice", 1, 5, "reads element"),
        ("slice", 9, 0, "step"),
        ("transpose", 0, 1, "permutation"),
        ("transpose", 5, 6, "beyond the rank"),
    ],
)
def test_attribute_rules(op: str, at: int, value: int, sentence: str) -> None:
    with pytest.raises(ArtifactError, match=f"(?s){op}.*{sentence}"):
        read(write(change_attribute(every_operator(), op, at, value)))


@pytest.mark.parametrize("op", ["conv2d", "depthwise_conv2d", "fully_connected"])
def test_weights_of_minus_128_are_refused(op: str) -> None:
    content = every_operator()
    index = index_of(content, op, 1)
    weights = data_of(content.graph.tensors[index])
    weights.flat[0] = -128
    with pytest.raises(ArtifactError, match="-128"):
        read(write(change_tensor(content, index, data=weights)))


@pytest.mark.parametrize("op", ["conv2d", "depthwise_conv2d", "fully_connected"])
def test_accumulator_that_may_overflow_is_refused(op: str) -> None:
    content = every_operator()
    index = index_of(content, op, 2)
    bias = data_of(content.graph.tensors[index])
    bias[0] = 2**31 - 1
    with pytest.raises(ArtifactError, match="int32"):
        read(write(change_tensor(content, index, data=bias)))


@pytest.mark.parametrize("value", [0.0, -0.01, 2.0**8, 2.0**-33, np.nan, np.inf])
def test_multipliers_outside_the_range_are_refused(value: float) -> None:
    content = every_operator()
    index = index_of(content, "conv2d", 3)
    multiplier = data_of(content.graph.tensors[index])
    multiplier[0] = value
    with pytest.raises(ArtifactError, match="multiplier"):
        read(write(change_tensor(content, index, data=multiplier)))


@pytest.mark.parametrize("scale", [0.0, -1.0, np.nan, np.inf, 1e-39])
def test_scales_of_activations(scale: float) -> None:
    content = every_operator()
    with pytest.raises(ArtifactError, match="scale"):
        read(write(change_tensor(content, index_of(content, "conv2d", 0), scale=scale)))


def test_same_quantization_is_asked_for() -> None:
    content = every_operator()
    with pytest.raises(ArtifactError, match="differ in scale"):
        read(write(change_tensor(content, index_of(content, "reshape", 0), zero_point=9)))


@pytest.mark.parametrize("entry", [0, 2**24 + 1])
def test_softmax_table(entry: int) -> None:
    content = every_operator()
    index = index_of(content, "softmax", 1)
    table = data_of(content.graph.tensors[index])
    table[0] = entry
    with pytest.raises(ArtifactError, match="table"):
        read(write(change_tensor(content, index, data=table)))


def test_nodes_out_of_order_are_refused() -> None:
    content = every_operator()
    nodes = content.graph.nodes[1:2] + content.graph.nodes[:1] + content.graph.nodes[2:]
    with pytest.raises(ArtifactError, match="before it is set"):
        read(write(dataclasses.replace(content, graph=dataclasses.replace(content.graph, nodes=nodes))))


def test_batches_must_agree() -> None:
    content = every_operator()
    index = content.graph.inputs[0]
    with pytest.raises(ArtifactError, match="batch"):
        read(write(change_tensor(content, index, dims=(2, *content.graph.tensors[index].dims[1:]))))
