# SPDX-License-Identifier: Apache-2.0
"""depthwise_conv2d: the weight layout of a Conv whose every channel is a group; conv2d.py recognises and emits it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def layout(rows: npt.NDArray[Any], kernel_h: int, kernel_w: int) -> npt.NDArray[Any]:
    """Weights [C, kh*kw] -> [kh, kw, C]."""
    return np.ascontiguousarray(rows.T.reshape(kernel_h, kernel_w, len(rows)))
