# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import dataclasses
import struct

import numpy as np
import pytest

from edgeml import _core
from edgeml.artifact import Artifact, block_sparse
from edgeml.artifact import format as fmt
from edgeml.artifact.crc32c import crc32c
from edgeml.artifact.evaluate import evaluate
from edgeml.artifact.model import Content, Graph
from edgeml.artifact.reader import read
from edgeml.artifact.writer import write
from edgeml.errors import ArtifactError
from edgeml.session import InferenceSession
from support.small_artifact import GraphBuilder
from support.sparse_artifact import INPUT_SHAPE, SparseBuilder, sparse_layers

METADATA = {"format": 1, "name": "sparse"}
WEIGHTS = 1  # tensor of one_layer()


def one_layer(shape: tuple[int, int] = (6, 22), block_rows: int = 2) -> bytes:
    """One sparse fully connected layer over 20 tokens."""
    b = SparseBuilder()
    x = b.activation((shape[1], 20))
    y = b.node(
        "fully_connected", [x, *b.sparse_weights(shape, block_rows, 0.3)], b.activation((shape[0], 20)), [-128, 127]
    )
    return write(Content(Graph(tuple(b.tensors), tuple(b.nodes), (x,), (y,)), METADATA, None))


def seal(data: bytearray) -> bytes:
    for row in range(3):
        at = fmt.HEADER.size + row * fmt.SECTION_ROW.size
        _, _, offset, size, _, _ = fmt.SECTION_ROW.unpack_from(data, at)
        data[at + 24 : at + 28] = crc32c(bytes(data[offset : offset + size])).to_bytes(4, "little")
    table = bytes(data[fmt.HEADER.size : fmt.HEADER.size + 3 * fmt.SECTION_ROW.size])
    data[28:32] = crc32c(table).to_bytes(4, "little")
    data[60:64] = crc32c(bytes(data[:60])).to_bytes(4, "little")
    return bytes(data)


def section(data: bytes, row: int) -> tuple[int, int]:
    _, _, offset, size, _, _ = fmt.SECTION_ROW.unpack_from(data, fmt.HEADER.size + row * fmt.SECTION_ROW.size)
    return offset, size


def record(data: bytes, tensor: int) -> int:
    return section(data, 0)[0] + fmt.GRAPH_HEAD.size + tensor * fmt.TENSOR_RECORD.size


def blocks_at(data: bytes) -> tuple[int, int]:
    """Offset and size of the encoding of the layer's weights in the file."""
    offset, size = struct.unpack_from("<QQ", data, record(data, WEIGHTS) + 48)
    return section(data, 1)[0] + offset, size


def refused(data: bytes) -> str:
    """The sentence of the Python reader; the C++ one refuses too."""
    with pytest.raises(ArtifactError) as error:
        read(data)
    for isa in _core.ISAS:
        with pytest.raises(ArtifactError):
            InferenceSession(data, isa=isa)
    return str(error.value)


@pytest.mark.parametrize("block_rows", [1, 2, 4])
@pytest.mark.parametrize("dims", [(1, 1), (4, 4), (5, 3), (8, 33), (3, 3, 3, 5), (9, 1, 2, 16)])
@pytest.mark.parametrize("density", [0.0, 0.3, 1.0])
def test_weights_come_back(rng: np.random.Generator, dims: tuple[int, ...], block_rows: int, density: float) -> None:
    weights = rng.integers(-127, 128, dims, dtype=np.int8) * (rng.random(dims) < density)
    data = block_sparse.encode(weights, block_rows)
    assert len(data) == block_sparse.encoded_bytes(weights, block_rows)
    assert np.array_equal(block_sparse.decode(data, dims, block_rows, "w"), weights)


def test_size_is_a_bit_for_each_block_and_the_blocks_that_are_there() -> None:
    weights = np.zeros((64, 256), np.int8)
    weights[:2, :4] = 1
    assert len(block_sparse.encode(weights, 2)) == 32 * 8 + 8


def test_file_is_smaller_and_says_the_same() -> None:
    content = sparse_layers()
    sparse = write(content)
    tensors = tuple(dataclasses.replace(tensor, block_rows=0) for tensor in content.graph.tensors)
    dense = write(dataclasses.replace(content, graph=dataclasses.replace(content.graph, tensors=tensors)))
    assert len(sparse) < 0.5 * len(dense)
    for a, b in zip(read(sparse).graph.tensors, read(dense).graph.tensors, strict=True):
        assert (a.data is None and b.data is None) or np.array_equal(a.data, b.data)
    assert write(read(sparse)) == sparse


@pytest.mark.parametrize("isa", _core.ISAS)
@pytest.mark.parametrize("threads", [1, 3])
def test_every_level_computes_what_dense_computes(rng: np.random.Generator, isa: str, threads: int) -> None:
    artifact = Artifact.build(sparse_layers())
    x = rng.uniform(-4, 4, (3, *INPUT_SHAPE)).astype(np.float32)
    expected = evaluate(artifact.graph, {"t0": x})
    session = InferenceSession(artifact.to_bytes(), isa=isa, threads=threads)
    kernels = {node.kernel for node in session._core.profile({"t0": x}, 1)}
    assert any("spmm" in kernel for kernel in kernels)
    assert any("gemm" in kernel for kernel in kernels)
    for name, actual in zip([spec.name for spec in session.get_outputs()], session.run(None, {"t0": x}), strict=True):
        assert np.array_equal(actual, expected[name])


def test_every_cut_of_the_blocks_is_an_error() -> None:
    data = one_layer()
    _, size = blocks_at(data)
    for shorter in range(size):
        broken = bytearray(data)
        struct.pack_into("<Q", broken, record(data, WEIGHTS) + 56, shorter)
        refused(seal(broken))


def test_every_flipped_bit_is_an_error_or_other_weights() -> None:
    """Flips each bit of the encoding; a file that is taken runs, and both readers agree."""
    data = one_layer()
    offset, size = blocks_at(data)
    x = np.ones((1, 22, 20), np.int8)
    taken = 0
    for bit in range(8 * size):
        broken = bytearray(data)
        broken[offset + bit // 8] ^= 1 << bit % 8
        sealed = seal(broken)
        try:
            read(sealed)
        except ArtifactError:
            refused(sealed)
            continue
        taken += 1
        InferenceSession(sealed).run(None, {"t0": x})
    assert taken > 0


def test_random_damage_never_escapes(rng: np.random.Generator) -> None:
    data = write(sparse_layers())
    ranges = [section(data, 0), section(data, 1)]
    x = np.zeros((1, *INPUT_SHAPE), np.float32)
    for _ in range(150):
        broken = bytearray(data)
        start, size = ranges[int(rng.integers(2))]
        for at in start + rng.integers(0, size, rng.integers(1, 4)):
            broken[at] = rng.choice([0, 1, 2, 4, 0x7F, 0x80, 0xFF, broken[at] ^ (1 << int(rng.integers(8)))])
        sealed = seal(broken)
        try:
            read(sealed)
        except ArtifactError:
            with pytest.raises(ArtifactError):
                InferenceSession(sealed)
            continue
        session = InferenceSession(sealed)
        takes = [(spec.name, spec.shape, spec.dtype) for spec in session.get_inputs()]
        if takes == [("t0", ["N", *INPUT_SHAPE], np.float32)]:
            session.run(None, {"t0": x})


@pytest.mark.parametrize("value", [3, 5, 8, 255])
def test_other_block_rows_are_named(value: int) -> None:
    broken = bytearray(one_layer())
    broken[record(bytes(broken), WEIGHTS) + 3] = value
    sentence = refused(seal(broken))
    assert f"block rows {value}" in sentence
    assert "c1" in sentence


def test_bits_beyond_the_groups_must_be_zero() -> None:
    data = one_layer((3, 6))  # two groups in a row
    broken = bytearray(data)
    broken[blocks_at(data)[0]] |= 0b100
    assert "beyond block 1" in refused(seal(broken))


def test_a_zero_block_and_a_weight_beyond_the_channels_are_named() -> None:
    weights = np.zeros((3, 6), np.int8)
    weights[2, 5] = 9
    data = bytearray(block_sparse.encode(weights, 2))
    assert block_sparse.decode(bytes(data), (3, 6), 2, "w")[2, 5] == 9
    data[-8 + 1] = 0
    with pytest.raises(ArtifactError, match="'w': a block is all zero"):
        block_sparse.decode(bytes(data), (3, 6), 2, "w")
    data[-1] = 7
    with pytest.raises(ArtifactError, match="'w': a block has a weight beyond the channels"):
        block_sparse.decode(bytes(data), (3, 6), 2, "w")


def test_only_weights_may_be_sparse() -> None:
    b = GraphBuilder()
    x = b.activation((4,))
    table = b.constant(np.zeros((64, 4), np.int8))
    y = b.node("constant", [table], b.activation((4,)), [])
    total = b.node("add", [x, y, b.multiplier(0.5, 0.5)], b.activation((4,)), [-128, 127])
    b.tensors[table] = dataclasses.replace(b.tensors[table], data=np.ones((1, 4), np.int8), dims=(1, 4), block_rows=1)
    data = write(Content(Graph(tuple(b.tensors), tuple(b.nodes), (x,), (total,)), METADATA, None))
    assert "only the weights of conv2d and fully_connected" in refused(data)


def test_groups_exclude_sparse_weights() -> None:
    b = SparseBuilder()
    x = b.activation((8, 4, 4))
    weights = b.sparse_weights((8, 1, 1, 4), 2, 0.5)
    y = b.node("conv2d", [x, *weights], b.activation((8, 4, 4)), [1, 1, 1, 1, 0, 0, 0, 0, 2, -128, 127])
    data = write(Content(Graph(tuple(b.tensors), tuple(b.nodes), (x,), (y,)), METADATA, None))
    assert "groups" in refused(data)


@pytest.mark.parametrize("isa", _core.ISAS)
@pytest.mark.parametrize("batch", [1, 5])
@pytest.mark.parametrize("density", [0.0, 0.02, 0.3])
def test_layers_of_one_pixel_skip_words(rng: np.random.Generator, isa: str, batch: int, density: float) -> None:
    """Panels leave out the depth words that none of their channels has, as many as that are."""
    b = SparseBuilder()
    x = b.activation((203,))
    y = b.node("fully_connected", [x, *b.sparse_weights((75, 203), 4, density)], b.activation((75,)), [-128, 127])
    artifact = Artifact.build(Content(Graph(tuple(b.tensors), tuple(b.nodes), (x,), (y,)), METADATA, None))
    q = rng.integers(-128, 128, (batch, 203), dtype=np.int8)
    session = InferenceSession(artifact.to_bytes(), isa=isa)
    name = session.get_outputs()[0].name
    assert np.array_equal(session.run(None, {"t0": q})[0], evaluate(artifact.graph, {"t0": q})[name])
