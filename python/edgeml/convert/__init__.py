# SPDX-License-Identifier: Apache-2.0
"""The converter: float ONNX and calibration data in, int8 artifact out; `converter.convert` tells the story.

The package can be called: `edgeml.convert(model, calibration=...)` is `edgeml.convert.converter.convert`.
"""

from __future__ import annotations

import sys
import types
from typing import Any

from edgeml.convert.converter import convert
from edgeml.convert.options import ConvertOptions


class _CallableModule(types.ModuleType):
    """`edgeml.convert` is a function in the public surface and a package in the tree; this makes it both."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return convert(*args, **kwargs)


sys.modules[__name__].__class__ = _CallableModule
sys.modules[__name__].__doc__ = convert.__doc__  # help(edgeml.convert) explains the call

__all__ = ["ConvertOptions", "convert"]
