# SPDX-License-Identifier: Apache-2.0
"""Artifacts drawn at random: chains of operators with odd shapes and geometry, to compare runtimes on."""

from __future__ import annotations

import numpy as np

from edgeml.artifact.model import Content, Graph
from support.small_artifact import GraphBuilder


class _Chain:
    """A graph that grows by one operator at a time; `last` is the tensor that the next one takes."""

    def __init__(self, seed: int) -> None:
        self.b = GraphBuilder(seed)
        shape = self.drawn(1, 20, 3)
        if seed % 4 == 0:
            shape[0] = 1  # conv2d has a way of its own for one channel
        self.input = self.b.activation(shape, 0, 0, np.float32)
        self.last = self.b.node("quantize", [self.input], self.b.activation(shape, 0.04, self.zero_point()))

    def drawn(self, low: int, high: int, count: int) -> list[int]:
        return [int(n) for n in self.b.rng.integers(low, high, count)]

    def zero_point(self) -> int:
        return self.drawn(-128, 128, 1)[0]

    @property
    def shape(self) -> tuple[int, ...]:
        return self.b.tensors[self.last].dims[1:]

    @property
    def same(self) -> tuple[float, int]:
        return self.b.tensors[self.last].scale, self.b.tensors[self.last].zero_point

    def conv2d(self) -> None:
        self._convolution(groups=1)

    def grouped(self) -> None:
        channels = self.shape[0]
        self._convolution(groups=int(self.b.rng.choice([g for g in range(1, channels + 1) if channels % g == 0])))

    def depthwise_conv2d(self) -> None:
        self._convolution(groups=0)

    def _convolution(self, groups: int) -> None:
        """A convolution with this many groups, 0: depthwise; nothing where the drawn window does not fit."""
        c, h, w = self.shape
        kernel, stride, dilation = self.drawn(1, 6, 2), self.drawn(1, 3, 2), self.drawn(1, 3, 2)
        extent = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
        pads = [self.drawn(0, e, 1)[0] for e in (*extent, *extent)]
        room = [size + pads[i] + pads[i + 2] - extent[i] for i, size in enumerate((h, w))]
        if min(room) < 0:
            return
        out = [r // s + 1 for r, s in zip(room, stride, strict=True)]
        geometry = [*stride, *dilation, *pads]
        if groups == 0:
            y = self.b.activation((c, *out), 0.05, self.zero_point())
            weights = self.b.weights((*kernel, c), c)
            self.last = self.b.node("depthwise_conv2d", [self.last, *weights], y, [*geometry, -120, 127])
            return
        o = groups * self.drawn(1, 9, 1)[0]
        y = self.b.activation((o, *out), 0.05, self.zero_point())
        weights = self.b.weights((o, *kernel, c // groups), o)
        self.last = self.b.node("conv2d", [self.last, *weights], y, [*geometry, groups, -128, 99])

    def slice(self) -> None:
        start, step = [self.drawn(0, n, 1)[0] for n in self.shape], self.drawn(1, 4, 3)
        sizes = [self.drawn(0, (n - 1 - s) // k + 1, 1)[0] + 1 for n, s, k in zip(self.shape, start, step, strict=True)]
        y = self.b.activation(sizes, *self.same)
        self.last = self.b.node("slice", [self.last], y, [0, *start, 0, 0, 0, 0, 1, *step, 1, 1, 1, 1])

    def pad(self) -> None:
        begin, end = self.drawn(0, 6, 3), self.drawn(0, 6, 3)
        sizes = [n + p + q for n, p, q in zip(self.shape, begin, end, strict=True)]
        attributes = [0, *begin, 0, 0, 0, 0, 0, *end, 0, 0, 0, 0, self.zero_point()]
        self.last = self.b.node("pad", [self.last], self.b.activation(sizes, *self.same), attributes)

    def transpose(self) -> None:
        perm = [int(n) for n in self.b.rng.permutation([1, 2, 3])]
        y = self.b.activation([self.shape[p - 1] for p in perm], *self.same)
        self.last = self.b.node("transpose", [self.last], y, [0, *perm, 4, 5, 6, 7])

    def concat(self) -> None:
        sizes = list(self.shape)
        (axis,) = self.drawn(1, 4, 1)
        sizes[axis - 1] *= 3
        self.last = self.b.node("concat", [self.last] * 3, self.b.activation(sizes, *self.same), [axis])

    def take(self) -> None:
        sizes = list(self.shape)
        (axis,) = self.drawn(1, 4, 1)
        (count,) = self.drawn(1, 12, 1)
        positions = self.b.constant(np.array(self.drawn(0, sizes[axis - 1], count), np.int32))
        sizes[axis - 1] = count
        self.last = self.b.node("take", [self.last, positions], self.b.activation(sizes, *self.same), [axis])

    def add(self) -> None:
        y = self.b.activation(self.shape, 0.05, self.zero_point())
        self.last = self.b.node("add", [self.last, self.last, self.b.multiplier(0.7, -0.45)], y, [-128, 127])


KINDS = (
    _Chain.conv2d,
    _Chain.grouped,
    _Chain.depthwise_conv2d,
    _Chain.slice,
    _Chain.pad,
    _Chain.transpose,
    _Chain.concat,
    _Chain.take,
    _Chain.add,
)


def random_graph(seed: int, operators: int = 6) -> Content:
    """A chain of operators; input `t0` of rank 4, the last activation as output in float and in int8."""
    chain = _Chain(seed)
    for kind in chain.drawn(0, len(KINDS), operators):
        KINDS[kind](chain)
    b = chain.b
    y = b.node("dequantize", [chain.last], b.activation(chain.shape, 0, 0, np.float32))
    return Content(Graph(tuple(b.tensors), tuple(b.nodes), (chain.input,), (y, chain.last)), {"format": 1}, None)
