# SPDX-License-Identifier: Apache-2.0
"""The operator table as the file sees it: code, counts of inputs and attributes.

The twin of cpp/src/model/operators.def, so that the pure-Python reader needs no compiled code; a test compares them.
"""

from __future__ import annotations

from typing import Final, NamedTuple

_CONV = "stride_h stride_w dilation_h dilation_w pad_top pad_left pad_bottom pad_right"
_POOL = "kernel_h kernel_w stride_h stride_w"
_PADS = "pad_top pad_left pad_bottom pad_right"
_ACT = "act_min act_max"


def _each(*words: str) -> str:
    """`begin` -> `begin[0] .. begin[7]`: attributes with one value per axis."""
    return " ".join(f"{word}[{axis}]" for word in words for axis in range(8))


class Operator(NamedTuple):
    """One row: `attributes` are the names of the int32 attributes in their order; None: as many as the operator says."""

    code: int
    name: str
    inputs_min: int
    inputs_max: int
    attributes: tuple[str, ...] | None


def _row(code: int, name: str, inputs_min: int, inputs_max: int, attributes: str | None) -> Operator:
    return Operator(code, name, inputs_min, inputs_max, None if attributes is None else tuple(attributes.split()))


OPERATORS: Final = (
    _row(1, "quantize", 1, 1, ""),
    _row(2, "dequantize", 1, 1, ""),
    _row(3, "conv2d", 4, 4, f"{_CONV} groups {_ACT}"),
    _row(4, "depthwise_conv2d", 4, 4, f"{_CONV} {_ACT}"),
    _row(5, "fully_connected", 4, 4, _ACT),
    _row(6, "add", 3, 3, _ACT),
    _row(7, "average_pool2d", 2, 2, f"{_POOL} {_PADS} {_ACT}"),
    _row(8, "max_pool2d", 1, 1, f"{_POOL} dilation_h dilation_w {_PADS}"),
    _row(9, "lut", 2, 2, ""),
    _row(10, "softmax", 2, 2, ""),
    _row(11, "reshape", 1, 1, ""),
    _row(12, "concat", 1, 64, "axis"),
    _row(13, "pad", 1, 1, _each("begin", "end") + " value"),
    _row(14, "slice", 1, 1, _each("start", "step")),
    _row(15, "transpose", 1, 1, _each("perm")),
    _row(16, "rescale", 2, 2, _ACT),
    _row(17, "mul", 3, 3, _ACT),
    _row(18, "matmul", 3, 3, f"depth_axis {_ACT}"),
    _row(19, "layer_norm", 4, 4, _ACT),
    _row(20, "constant", 1, 1, ""),
    _row(21, "take", 2, 2, "axis"),
    _row(22, "resize_nearest", 3, 3, ""),
    _row(23, "resize_linear", 6, 6, _ACT),
    # Plain operators
    _row(64, "cast", 1, 1, ""),
    _row(65, "unary", 1, 1, "function"),
    _row(66, "binary", 2, 2, "function"),
    _row(67, "select", 3, 3, ""),
    _row(68, "reduce", 1, 1, "function axes"),
    _row(69, "arg_reduce", 1, 1, "largest axis last"),
    _row(70, "cumulate", 1, 1, "product axis exclusive reverse"),
    _row(71, "view_copy", 1, 1, "offset " + _each("step")),
    _row(72, "assemble", 2, 65, None),
    _row(73, "index", 1, 1, "size"),
    _row(74, "gather", 2, 2, "outer size inner"),
    _row(75, "scatter", 3, 3, "size inner function"),
    _row(76, "dot", 2, 2, ""),
    _row(77, "top_k", 1, 1, "largest axis"),
    _row(78, "compact", 1, 1, ""),
    _row(79, "nms", 5, 5, "centred"),
)
PLAIN_CODE_MIN: Final = 64  # from here on operators work on plain tensors
BY_CODE: Final = {row.code: row for row in OPERATORS}
BY_NAME: Final = {row.name: row for row in OPERATORS}
