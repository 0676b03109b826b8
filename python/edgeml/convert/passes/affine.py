# SPDX-License-Identifier: Apache-2.0
"""Recognises Mul, Div, Add, Sub with one constant that is the same for all pixels of a channel: y = gain * x + shift."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from edgeml.ir import Graph, Node


class Affine(NamedTuple):
    """y = gain * x + shift; gain and shift are float64 [C] of axis 1."""

    x: str
    gain: npt.NDArray[Any]
    shift: npt.NDArray[Any]


def affine_of(node: Node, graph: Graph) -> Affine | None:
    """The affine map that a node is; None if it is none, or not per channel."""
    if node.op not in ("Mul", "Div", "Add", "Sub") or node.clamp is not None:
        return None
    left, right = (graph.constant(name) for name in node.inputs)
    x = node.inputs[1] if right is None else node.inputs[0]
    shape = graph.tensors[x].shape
    constant = _per_channel(right if left is None else left, shape)
    if (left is None) == (right is None) or constant is None or graph.tensors[node.output].shape != shape:
        return None
    if node.op == "Div" and (right is None or np.any(constant == 0)):  # constant / x is no affine map
        return None
    one, zero = np.ones_like(constant), np.zeros_like(constant)
    maps = {"Mul": (constant, zero), "Add": (one, constant)}
    maps["Sub"] = (one, -constant) if right is not None else (-one, constant)
    gain, shift = maps[node.op] if node.op != "Div" else (1.0 / constant, zero)
    return Affine(x, gain, shift)


def _per_channel(constant: npt.NDArray[Any] | None, shape: tuple[int, ...]) -> npt.NDArray[Any] | None:
    if constant is None or len(shape) < 2 or constant.ndim > len(shape):
        return None
    aligned: npt.NDArray[Any] = constant.reshape((1,) * (len(shape) - constant.ndim) + constant.shape).astype(
        np.float64
    )
    if any(size != 1 for axis, size in enumerate(aligned.shape) if axis != 1):
        return None
    full: npt.NDArray[Any] = np.broadcast_to(aligned.reshape(-1), (shape[1],)).copy()
    return full
