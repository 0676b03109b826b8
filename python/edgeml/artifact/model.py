# SPDX-License-Identifier: Apache-2.0
"""The graph of an artifact as values: tensors by index, nodes in execution order (artifact-format.md, 3 and 4)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeml.artifact.operators import BY_NAME


@dataclass(frozen=True)
class Tensor:
    """One tensor. A constant has `data`; an int8 activation has `scale` > 0 and real = scale * (q - zero_point).

    `data` has its zeros always; the file holds it without them where `block_rows` is 1, 2 or 4 (section 4.1).
    `dims[0]` of a quantized activation is the batch, and where it is free (0) that of every activation.
    """

    name: str
    dtype: np.dtype[Any]
    dims: tuple[int, ...]
    scale: float = 0.0
    zero_point: int = 0
    data: npt.NDArray[Any] | None = None
    block_rows: int = 0

    @property
    def item_dims(self) -> tuple[int, ...]:
        """The dims with 1 in the place of a free batch: what plain operators work on, one batch item at a time."""
        return (1, *self.dims[1:]) if self.dims[:1] == (0,) else self.dims


@dataclass(frozen=True)
class Node:
    """One operator: inputs and outputs are tensor indices, attributes int32 in the order of the operator table."""

    op: str
    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    attributes: tuple[int, ...]

    def named_attributes(self) -> Mapping[str, int]:
        """The attributes by name, for people."""
        names = BY_NAME[self.op].attributes
        if names is None:
            return {f"attribute[{i}]": value for i, value in enumerate(self.attributes)}
        return dict(zip(names, self.attributes, strict=True))


@dataclass(frozen=True)
class Graph:
    """Tensors, nodes in execution order, and the indices of the graph's inputs and outputs."""

    tensors: tuple[Tensor, ...]
    nodes: tuple[Node, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


@dataclass(frozen=True)
class Content:
    """Everything an artifact holds. `telemetry` is the JSON of wire.md, section 1, None where there is no schema."""

    graph: Graph
    metadata: Mapping[str, Any]
    telemetry: bytes | None
