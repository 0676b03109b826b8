# SPDX-License-Identifier: Apache-2.0
"""A small artifact that uses every plain operator of the format: for tests of readers and of damage."""

from __future__ import annotations

import numpy as np

from edgeml.artifact.model import Content
from edgeml.convert.plain.builder import PlainBuilder


def every_plain_operator() -> Content:
    """Inputs `x` f32 [2, 3, 4] and `i` s64 [2]; what all sixteen make of them."""
    b = PlainBuilder()
    x, i = b.input("x", (2, 3, 4), np.float32), b.input("i", (2,), np.int64)
    y = b.binary("add", b.unary("tanh", x), b.constant(np.arange(3, dtype=np.float32).reshape(3, 1)))
    positive = b.binary("less", b.like(0, y), x)
    y = b.select(positive, y, b.constant(np.float32(0.25)))
    y = b.dot(y, b.transpose(y, (0, 2, 1)))
    y = b.cumulate(y, 1, product=False, exclusive=True, reverse=True)
    y = b.pad(y, (0, 1, 0), (0, 1, 2), b.like(9, y), spread=(1, 2, 1))
    total = b.reduce("mean", y, (1,))
    rows = b.gather(b.reshape(x, (6, 4)), i, 0)
    put = b.scatter(b.reshape(x, (6, 4)), b.index(i, 6), rows, 6, "max")
    best = b.arg_reduce(put, 1, largest=True)
    order = b.top_k(put, 0, 3, largest=False)
    found = b.compact(positive)
    half = b.cast(total, np.float16)
    boxes = b.reshape(b.concat([x, x], 1), (2, 6, 4))
    scores = b.reshape(b.take(b.concat([x, x], 2), 2, 0, 2), (2, 1, 6))
    limits = [
        b.constant(np.array([3], np.int64)),
        b.constant(np.array([0.5], np.float32)),
        b.constant(np.array([0.1], np.float32)),
    ]
    kept = b.nms([boxes, scores, *limits], 6, centred=False)
    names = ("y", "half", "put", "best", "order", "found", "kept")
    graph = b.finish([x, i], list(zip(names, (y, half, put, best, order, found, kept), strict=True)))
    return Content(graph, {"format": 1, "name": "every_plain_operator", "options": {}, "producer": "edgeml test"}, None)
