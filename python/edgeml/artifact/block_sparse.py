# SPDX-License-Identifier: Apache-2.0
"""Weights without their zeros (artifact-format.md, section 4.1): encode, decode, and count blocks."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgeml.errors import ArtifactError

BLOCK_ROWS: Final = (1, 2, 4)
BLOCK_COLUMNS: Final = 4

Weights = npt.NDArray[np.int8]
Present = npt.NDArray[np.bool_]


def present_blocks(weights: npt.NDArray[Any], block_rows: int) -> Present:
    """Which blocks of weights [O, .., C] hold something but zeros: bool [ceil(O / block_rows), taps * ceil(C / 4)]."""
    present: Present = np.any(_blocks(weights, block_rows), axis=(2, 3))
    return present


def encode(weights: Weights, block_rows: int) -> bytes:
    """The data of a block-sparse constant; the same weights and block_rows give the same bytes."""
    blocks = _blocks(weights, block_rows)
    present = np.any(blocks, axis=(2, 3))
    return np.packbits(present, axis=1, bitorder="little").tobytes() + blocks[present].tobytes()


def encoded_bytes(weights: npt.NDArray[Any], block_rows: int) -> int:
    """How long `encode` would make them."""
    present = present_blocks(weights, block_rows)
    rows, groups = present.shape
    blocks = int(np.count_nonzero(present))
    return int(rows) * _bytes_of_bits(int(groups)) + blocks * block_rows * BLOCK_COLUMNS


def decode(data: bytes, dims: tuple[int, ...], block_rows: int, name: str) -> Weights:
    """The weights with their zeros, s8 in dims.

    Raises:
        ArtifactError: the data break a rule of section 4.1; the sentence names the tensor.
    """
    rows, groups = -(-dims[0] // block_rows), math.prod(dims[1:-1]) * -(-dims[-1] // BLOCK_COLUMNS)
    bits_bytes = rows * _bytes_of_bits(groups)
    if len(data) < bits_bytes:
        raise ArtifactError(f"tensor {name!r}: the bits of its blocks need {bits_bytes} bytes, it has {len(data)}")
    bits = np.frombuffer(data[:bits_bytes], dtype=np.uint8).reshape(rows, -1)
    bits = np.unpackbits(bits, axis=1, bitorder="little").astype(np.bool_)
    present, beyond = bits[:, :groups], bits[:, groups:]
    if np.any(beyond):
        raise ArtifactError(f"tensor {name!r}: its blocks have bits beyond block {groups - 1}")
    count = int(present.sum())
    needed = bits_bytes + count * block_rows * BLOCK_COLUMNS
    if len(data) != needed:
        raise ArtifactError(f"tensor {name!r}: its {count} blocks need {needed} bytes, it has {len(data)}")
    there: Weights = np.frombuffer(data[bits_bytes:], dtype=np.int8).reshape(count, block_rows, BLOCK_COLUMNS)
    if not np.all(np.any(there, axis=(1, 2))):
        raise ArtifactError(f"tensor {name!r}: a block is all zero")
    blocks = np.zeros((rows, groups, block_rows, BLOCK_COLUMNS), dtype=np.int8)
    blocks[present] = there
    weights = _weights(blocks, dims)
    if np.count_nonzero(weights) != np.count_nonzero(there):
        raise ArtifactError(f"tensor {name!r}: a block has a weight beyond the channels")
    return weights


def _bytes_of_bits(bits: int) -> int:
    return -(-bits // 8)


def _blocks(weights: npt.NDArray[Any], block_rows: int) -> npt.NDArray[Any]:
    """Weights [O, .., C] as [rows of blocks, groups, block_rows, 4], zero beyond the channels."""
    channels, in_channels = weights.shape[0], weights.shape[-1]
    taps = math.prod(weights.shape[1:-1])
    pads = ((0, -channels % block_rows), (0, 0), (0, -in_channels % BLOCK_COLUMNS))
    padded: npt.NDArray[Any] = np.pad(weights.reshape(channels, taps, in_channels), pads)
    rows = padded.shape[0] // block_rows
    blocks: npt.NDArray[Any] = padded.reshape(rows, block_rows, -1, BLOCK_COLUMNS).swapaxes(1, 2)
    return blocks


def _weights(blocks: npt.NDArray[Any], dims: tuple[int, ...]) -> Weights:
    rows, _, block_rows, _ = blocks.shape
    taps, padded_channels = math.prod(dims[1:-1]), -(-dims[-1] // BLOCK_COLUMNS) * BLOCK_COLUMNS
    padded = blocks.swapaxes(1, 2).reshape(rows * block_rows, taps, padded_channels)
    weights: Weights = np.ascontiguousarray(padded[: dims[0], :, : dims[-1]]).reshape(dims)
    return weights
