# SPDX-License-Identifier: Apache-2.0
"""Sizes that the user gives the free dimensions of a model's inputs: `N=8` fixes one, `N=1..16` bounds the batch and leaves it free."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

import onnx

from edgeml.errors import ConversionError, UsageError

SIZE_MAX: Final = 2**31 - 1
_TEXT: Final = re.compile(r"([^=]+)=(\d{1,10})(?:\.\.(\d{1,10}))?")


class Sizes(NamedTuple):
    """The least and largest size of a dimension; equal where it is fixed."""

    least: int
    most: int


def read_dims(texts: Iterable[str]) -> dict[str, Sizes]:
    """`NAME=SIZE` or `NAME=LEAST..MOST`, by name. Raises UsageError."""
    dims = {}
    for text in texts:
        match = _TEXT.fullmatch(text)
        sizes = None if match is None else Sizes(int(match[2]), int(match[3] or match[2]))
        if match is None or sizes is None or not 1 <= sizes.least <= sizes.most <= SIZE_MAX:
            raise UsageError(f"dimension {text!r} is not NAME=SIZE or NAME=LEAST..MOST with sizes from 1 on")
        dims[match[1]] = sizes
    return dims


def bind_dims(model: onnx.ModelProto, dims: Mapping[str, Sizes]) -> None:
    """Give the free dimensions of the inputs their sizes, in place. An unnamed one is called `INPUT:AXIS`.

    Raises:
        ConversionError: no input has a dimension of that name, or a range is asked of one that is not a batch.
    """
    used: set[str] = set()
    names: set[str] = set()
    constants = {tensor.name for tensor in model.graph.initializer}
    for value in model.graph.input:
        for axis, dim in enumerate(value.type.tensor_type.shape.dim if value.name not in constants else ()):
            if dim.dim_value > 0:
                continue
            name = dim.dim_param or f"{value.name}:{axis}"
            names.add(name)
            if name not in dims:
                continue
            used.add(name)
            if dims[name].least == dims[name].most:
                dim.dim_value = dims[name].least
            elif axis != 0:
                raise ConversionError(
                    f"dimension {name!r} of input {value.name!r} cannot stay free between {dims[name].least} and "
                    f"{dims[name].most}: only the batch, axis 0, can; fix it with {name}={dims[name].most} and pad the data, or "
                    "convert one artifact for each size"
                )
    if unknown := sorted(dims.keys() - used):
        raise ConversionError(
            f"no input has a free dimension {unknown[0]!r}; there are {', '.join(sorted(names)) or 'none'}"
        )
