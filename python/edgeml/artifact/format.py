# SPDX-License-Identifier: Apache-2.0
"""Numbers and record layouts of the `.edgeml` file, shared by writer and reader (docs/design/artifact-format.md)."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

MAGIC: Final = b"EDGEML\r\n"
VERSION: Final = 1
ALIGNMENT: Final = 64  # bytes, of sections and of constants

HEADER: Final = struct.Struct(
    "<8sIIQII28xI"
)  # magic, version, flags, total size, sections, CRC of table, CRC of header
SECTION_ROW: Final = struct.Struct("<IIQQII")  # id, zero, offset, size, CRC, zero
GRAPH_HEAD: Final = struct.Struct("<8I")  # tensors, nodes, inputs, outputs, name bytes, indices, attributes, zero
TENSOR_RECORD: Final = struct.Struct("<4B2H8IfiQQ16s")
NODE_RECORD: Final = struct.Struct(
    "<HBBHHII"
)  # code, inputs, outputs, attributes, name length, first index, first attribute

SECTION_GRAPH: Final = 1
SECTION_CONSTANTS: Final = 2
SECTION_METADATA: Final = 3
SECTION_TELEMETRY: Final = 4
SECTION_NAMES: Final = {1: "graph", 2: "constants", 3: "metadata", 4: "telemetry"}

DTYPES: Final[Mapping[int, np.dtype[Any]]] = {  # code in the tensor record -> element type
    1: np.dtype(np.int8),
    2: np.dtype(np.float32),
    3: np.dtype(np.int32),
    4: np.dtype(np.uint32),
    5: np.dtype(np.uint8),
    6: np.dtype(np.int64),
    7: np.dtype(np.bool_),
    8: np.dtype(np.float16),
    9: np.dtype(np.float64),
    10: np.dtype(np.int16),
    11: np.dtype(np.uint16),
    12: np.dtype(np.uint64),
}
KIND_ACTIVATION: Final = 0
KIND_CONSTANT: Final = 1

ARTIFACT_BYTES_MAX: Final = 2**31 - 1
TENSOR_RANK_MAX: Final = 8
TENSOR_ELEMENTS_MAX: Final = 2**31 - 1  # of an activation; without the batch where it is quantized or the batch free
DIM_MAX: Final = 2**31 - 1
SECTIONS_MAX: Final = 4096
TENSORS_MAX: Final = 65535
NODES_MAX: Final = 65535
BORDERS_MAX: Final = 64  # graph inputs, and graph outputs
NAME_BYTES_MAX: Final = 1024
METADATA_BYTES_MAX: Final = 16 * 2**20
TELEMETRY_BYTES_MAX: Final = 16 * 2**20


def aligned(offset: int) -> int:
    """Round an offset in bytes up to the next multiple of ALIGNMENT."""
    return -(-offset // ALIGNMENT) * ALIGNMENT
