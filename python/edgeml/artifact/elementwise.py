# SPDX-License-Identifier: Apache-2.0
"""The functions of `unary`, `binary`, `reduce` and `scatter` by name, with the codes that the file holds.

The twin of cpp/src/model/elementwise.def and of the enumerations in cpp/src/ops/reduce.cpp and scatter.cpp.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final


def _numbered(names: str, first: int = 1) -> Mapping[str, int]:
    return {name: code for code, name in enumerate(names.split(), first)}


UNARY: Final = _numbered(
    "neg abs sign floor ceil round sqrt exp log sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh erf "
    "sigmoid softplus bit_not"
)
BINARY: Final = _numbered(
    "add sub mul div floor_mod fmod pow min max bit_and bit_or bit_xor shift_left shift_right equal less less_equal"
)
REDUCE: Final = _numbered("sum mean max min prod sum_square sum_abs")
SCATTER: Final = _numbered("replace add mul min max", first=0)

INTEGER_UNARY: Final = frozenset({"neg", "abs", "sign", "bit_not"})
FLOAT_UNARY: Final = frozenset(UNARY) - {"bit_not"}
INTEGER_ONLY_BINARY: Final = frozenset({"bit_and", "bit_or", "bit_xor", "shift_left", "shift_right"})
COMPARISONS: Final = frozenset({"equal", "less", "less_equal"})  # their output is bool
