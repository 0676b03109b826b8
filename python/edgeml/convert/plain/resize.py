# SPDX-License-Identifier: Apache-2.0
"""Lowering of Resize and Upsample: along each axis a product with a matrix of interpolation weights, or a lookup."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt

from edgeml.convert.plain.builder import Value
from edgeml.convert.plain.lowering import Call

_F64 = npt.NDArray[np.float64]


def _positions(c: Call, n: int, out: int, scale: float, roi: tuple[float, float]) -> _F64:  # noqa: PLR0911 (a table of modes)
    """Where each output position lies among the input's."""
    at = np.arange(out, dtype=np.float64)
    mode = c.attribute("coordinate_transformation_mode", "half_pixel" if c.opset >= 11 else "asymmetric")
    if mode == "asymmetric":
        return at / scale
    if mode == "align_corners":
        return at * (n - 1) / (scale * n - 1) if out > 1 else np.zeros(1)
    if mode == "pytorch_half_pixel":
        return (at + 0.5) / scale - 0.5 if out > 1 else np.zeros(1)
    if mode == "half_pixel_symmetric":
        centre = n / 2 * (1 - out / (scale * n))
        return centre + (at + 0.5) / scale - 0.5
    if mode == "tf_crop_and_resize":
        begin, end = roi
        if out == 1:
            return np.array([0.5 * (begin + end) * (n - 1)])
        return begin * (n - 1) + at * (end - begin) * (n - 1) / (out - 1)
    return (at + 0.5) / scale - 0.5


def _nearest(c: Call, positions: _F64, n: int) -> npt.NDArray[np.int64]:
    mode = c.attribute("nearest_mode", "round_prefer_floor" if c.opset >= 11 else "floor")
    if mode == "round_prefer_floor":
        rounded = np.ceil(positions - 0.5)
    elif mode == "round_prefer_ceil":
        rounded = np.floor(positions + 0.5)
    else:
        rounded = np.floor(positions) if mode == "floor" else np.ceil(positions)
    held: npt.NDArray[np.int64] = np.clip(rounded, 0, n - 1).astype(np.int64)
    return held


def _taps(c: Call, mode: str, scale: float) -> Callable[[_F64], _F64]:
    """The weight of a tap by its distance; stretched for antialiasing."""
    stretch = min(scale, 1.0) if c.attribute("antialias", 0) else 1.0
    a = c.attribute("cubic_coeff_a", -0.75)

    def linear(d: _F64) -> _F64:
        return np.maximum(0.0, 1.0 - np.abs(d * stretch))

    def cubic(d: _F64) -> _F64:
        d = np.abs(d * stretch)
        near = (a + 2) * d**3 - (a + 3) * d**2 + 1
        far = a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a
        return np.where(d <= 1, near, np.where(d < 2, far, 0.0))

    return cubic if mode == "cubic" else linear


def _matrix(c: Call, mode: str, positions: _F64, n: int, scale: float) -> _F64:
    """[out, n] weights."""
    support = (2 if mode == "cubic" else 1) / (min(scale, 1.0) if c.attribute("antialias", 0) else 1.0)
    reach = math.ceil(support) + 1
    weight = _taps(c, mode, scale)
    matrix = np.zeros((len(positions), n))
    for row, position in enumerate(positions):
        base = math.floor(position)
        taps = np.arange(base - reach, base + reach + 1)
        weights = weight(position - taps)
        if c.attribute("exclude_outside", 0):
            weights = np.where((taps < 0) | (taps >= n), 0.0, weights)
        if c.attribute("exclude_outside", 0) or c.attribute("antialias", 0):
            weights = weights / weights.sum()
        np.add.at(matrix[row], np.clip(taps, 0, n - 1), weights)
    return matrix


def _resize(c: Call) -> Value:
    b, x = c.b, c.x
    newer = c.node.op_type == "Resize" and c.opset >= 11
    roi_at, scales_at, sizes_at = (1, 2, 3) if newer else (None, 1, None)
    axes = [a % x.rank for a in c.attribute("axes", range(x.rank))]
    scales_in = c.optional(scales_at)
    sizes_in = None if sizes_at is None else c.optional(sizes_at)
    scales, sizes = [1.0] * x.rank, list(x.shape)
    if sizes_in is not None:
        wanted = [int(n) for n in sizes_in.known()]
        ratios = [n / x.shape[a] for n, a in zip(wanted, axes, strict=True)]
        policy = c.attribute("keep_aspect_ratio_policy", "stretch")
        if policy != "stretch":
            ratio = min(ratios) if policy == "not_larger" else max(ratios)
            ratios = [ratio] * len(axes)
            wanted = [math.floor(ratio * x.shape[a] + 0.5) for a in axes]
        for axis, n, ratio in zip(axes, wanted, ratios, strict=True):
            sizes[axis], scales[axis] = n, ratio
    else:
        given = c.attribute("scales") if scales_in is None else [float(s) for s in scales_in.known()]
        for axis, scale in zip(axes, given, strict=True):
            scales[axis] = scale
            sizes[axis] = math.floor(x.shape[axis] * scale)
    crops = c.attribute("coordinate_transformation_mode") == "tf_crop_and_resize"
    roi = [(0.0, 1.0)] * x.rank
    if crops and roi_at is not None and (region := c.optional(roi_at)) is not None:
        values = [float(v) for v in region.known()]
        for i, axis in enumerate(axes):
            roi[axis] = (values[i], values[i + len(axes)])
    mode = c.attribute("mode", "nearest")
    for axis in range(x.rank):
        n = x.shape[axis]
        if sizes[axis] == n and scales[axis] == 1.0 and not crops:
            continue
        positions = _positions(c, n, sizes[axis], scales[axis], roi[axis])
        outside = crops and bool(np.any((positions < 0) | (positions > n - 1)))
        if mode == "nearest":
            y = b.gather(x, b.constant(_nearest(c, positions, n)), axis)
        else:
            matrix = b.constant(_matrix(c, mode.removeprefix("bi"), positions, n, scales[axis]).astype(x.dtype))
            moved = [i for i in range(x.rank) if i != axis]
            flat = b.reshape(b.transpose(x, (axis, *moved)), (n, x.size // n))
            y = b.reshape(b.dot(matrix, flat), (sizes[axis], *[x.shape[i] for i in moved]))
            y = b.transpose(y, [moved.index(i) + 1 if i != axis else 0 for i in range(x.rank)])
        if outside:
            shape = [1] * x.rank
            shape[axis] = sizes[axis]
            inside = b.constant(((positions >= 0) & (positions <= n - 1)).reshape(shape))
            y = b.select(inside, y, b.like(c.attribute("extrapolation_value", 0.0), x))
        x = y
    return x


RULES: Final = {"Resize": _resize, "Upsample": _resize}
