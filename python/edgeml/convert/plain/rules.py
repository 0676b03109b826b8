# SPDX-License-Identifier: Apache-2.0
"""All rules of their own, by ONNX operator; what is not here is expanded by the body that ONNX defines for it, if it has one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from edgeml.convert.plain import (
    control,
    elementwise,
    indexing,
    movement,
    quantized,
    recurrent,
    reduction,
    resize,
    sampling,
    windows,
)
from edgeml.convert.plain.lowering import Rule

_FILES: Final = (elementwise, movement, reduction, windows, indexing, control, recurrent, resize, quantized, sampling)
RULES: Final[Mapping[str, Rule]] = {name: rule for file in _FILES for name, rule in file.RULES.items()}
