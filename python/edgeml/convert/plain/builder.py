# SPDX-License-Identifier: Apache-2.0
"""Builds a graph of plain operators: every method adds nodes and returns the value that they make."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgeml.artifact.elementwise import BINARY, COMPARISONS, REDUCE, SCATTER, UNARY
from edgeml.artifact.format import DTYPES, TENSOR_RANK_MAX
from edgeml.artifact.model import Graph, Node, Tensor
from edgeml.errors import ConversionError, UnsupportedOperatorError

Array = npt.NDArray[Any]
Shape = tuple[int, ...]
_DTYPES: Final = frozenset(DTYPES.values())


class NeedsValueError(ConversionError):
    """A shape or attribute depends on graph inputs, whose values must be given at conversion; `inputs` names them."""

    def __init__(self, inputs: frozenset[str]) -> None:
        names = ", ".join(sorted(inputs))
        super().__init__(f"a shape depends on the values of {names}; make them initializers of the model")
        self.inputs = inputs


@dataclass(eq=False)
class Value:
    """A tensor of the graph in the making. A constant has `data`; `roots` are the graph inputs that it depends on.

    `evaluate` gives the value of what depends on none of them but was lowered to nodes. `count` is a scalar that says how many
    positions along an axis hold data, where that depends on data: (axis, scalar).
    """

    shape: Shape
    dtype: np.dtype[Any]
    data: Array | None = None
    index: int | None = None
    roots: frozenset[str] = frozenset()
    evaluate: Callable[[], Array] | None = field(default=None, repr=False)
    count: tuple[int, Value] | None = None

    @property
    def rank(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def is_float(self) -> bool:
        """Whether the dtype is a float."""
        return bool(np.issubdtype(self.dtype, np.floating))

    def known(self) -> Array:
        """The value at conversion. Raises NeedsValueError where it depends on graph inputs."""
        if self.data is None:
            if self.evaluate is None or self.roots:
                raise NeedsValueError(self.roots)
            self.data = self.evaluate()
        return self.data


class PlainBuilder:
    """Collects tensors and nodes of an artifact's graph."""

    def __init__(self) -> None:
        self._tensors: list[Tensor] = []
        self._nodes: list[Node] = []
        self._constants: dict[tuple[str, Shape, bytes], int] = {}
        self.scope = "node"  # name of the ONNX node that is lowered

    # Values

    def input(self, name: str, shape: Shape, dtype: npt.DTypeLike) -> Value:
        """A graph input."""
        self._tensors.append(Tensor(name, self._checked(np.dtype(dtype)), shape))
        return Value(shape, np.dtype(dtype), index=len(self._tensors) - 1, roots=frozenset({name}))

    def constant(self, data: npt.ArrayLike, dtype: npt.DTypeLike | None = None) -> Value:
        """A constant; it enters the artifact when a node reads it."""
        array = np.asarray(data, dtype=dtype)
        return Value(array.shape, array.dtype, data=array)

    def like(self, value: float, other: Value) -> Value:
        """A scalar constant of the dtype of another value."""
        return self.constant(np.asarray(value).astype(other.dtype))

    def finish(self, inputs: Sequence[Value], outputs: Sequence[tuple[str, Value]]) -> Graph:
        """The graph; every output gets its name by a node of its own where its value has another role already."""
        indices = [value.index for value in inputs]
        results = []
        for name, value in outputs:
            copy = self._node("view_copy", [value], value.shape, value.dtype, [0, *_padded(_dense(value.shape))])
            self._tensors[_index(copy)] = Tensor(name, value.dtype, value.shape)
            results.append(_index(copy))
        used = {i for node in self._nodes for i in node.inputs} | {i for i in indices if i is not None}
        used |= {node.outputs[0] for node in self._nodes}
        order = {old: new for new, old in enumerate(sorted(used))}
        nodes = tuple(
            Node(
                node.op,
                node.name,
                tuple(order[i] for i in node.inputs),
                tuple(order[i] for i in node.outputs),
                node.attributes,
            )
            for node in self._nodes
        )
        tensors = tuple(self._tensors[i] for i in sorted(used))
        return Graph(
            tensors, nodes, tuple(order[i] for i in indices if i is not None), tuple(order[i] for i in results)
        )

    # Elementwise

    def cast(self, x: Value, dtype: npt.DTypeLike) -> Value:
        """The same numbers in another dtype."""
        wanted = np.dtype(dtype)
        return x if x.dtype == wanted else self._node("cast", [x], x.shape, wanted)

    def unary(self, function: str, x: Value) -> Value:
        """A function of one tensor (artifact/elementwise.py)."""
        return self._node("unary", [x], x.shape, x.dtype, [UNARY[function]])

    def binary(self, function: str, a: Value, b: Value) -> Value:
        """A function of two tensors, broadcast."""
        dtype = np.dtype(np.bool_) if function in COMPARISONS else a.dtype
        return self._node("binary", [a, b], np.broadcast_shapes(a.shape, b.shape), dtype, [BINARY[function]])

    def select(self, condition: Value, a: Value, b: Value) -> Value:
        """One of two tensors by a condition, broadcast."""
        return self._node("select", [condition, a, b], np.broadcast_shapes(condition.shape, a.shape, b.shape), a.dtype)

    def logical_not(self, x: Value) -> Value:
        """Not, of bool."""
        return self.binary("bit_xor", x, self.constant(True))

    # Along axes

    def reduce(self, function: str, x: Value, axes: Sequence[int], *, keepdims: bool = True) -> Value:
        """Fold along axes."""
        axes = [axis % x.rank for axis in axes] if x.rank else []
        mask = sum(1 << axis for axis in set(axes))
        kept = tuple(1 if axis in axes else dim for axis, dim in enumerate(x.shape))
        if not keepdims:
            kept = tuple(dim for axis, dim in enumerate(x.shape) if axis not in axes)
        return self._node("reduce", [x], kept, x.dtype, [REDUCE[function], mask])

    def arg_reduce(self, x: Value, axis: int, *, largest: bool, last: bool = False) -> Value:
        """Indices with the axis kept as 1."""
        shape = tuple(1 if i == axis else dim for i, dim in enumerate(x.shape))
        return self._node("arg_reduce", [x], shape, np.dtype(np.int64), [int(largest), axis, int(last)])

    def cumulate(self, x: Value, axis: int, *, product: bool, exclusive: bool, reverse: bool) -> Value:
        """Running sums or products along an axis."""
        flags = [int(product), axis, int(exclusive), int(reverse)]
        return self._node("cumulate", [x], x.shape, x.dtype, flags)

    def top_k(self, x: Value, axis: int, k: int, *, largest: bool) -> Value:
        """Indices of the k best along an axis."""
        shape = tuple(k if i == axis else dim for i, dim in enumerate(x.shape))
        return self._node("top_k", [x], shape, np.dtype(np.int64), [int(largest), axis])

    def compact(self, mask: Value) -> Value:
        """Flat positions of the true elements, then -1."""
        return self._node("compact", [mask], (mask.size,), np.dtype(np.int64))

    def nms(self, inputs: Sequence[Value], rows: int, *, centred: bool) -> Value:
        """Boxes that no better one hides: rows (batch, class, box), then -1."""
        return self._node("nms", inputs, (rows, 3), np.dtype(np.int64), [int(centred)])

    # Movement

    def view(self, x: Value, shape: Shape, offset: int, steps: Sequence[int]) -> Value:
        """A strided view of the elements of x, copied."""
        if x.data is not None and x.size:
            flat = np.ascontiguousarray(x.data).reshape(-1)
            strides = [step * flat.itemsize for step in steps]
            data = np.lib.stride_tricks.as_strided(flat[offset:], shape, strides)
            return self.constant(data.copy())
        return self._node("view_copy", [x], shape, x.dtype, [offset, *_padded(steps)])

    def reshape(self, x: Value, shape: Sequence[int]) -> Value:
        """The same elements under another shape."""
        if tuple(shape) == x.shape:
            return x
        return self.view(x, tuple(shape), 0, _dense(tuple(shape)))

    def bitcast(self, x: Value, dtype: npt.DTypeLike) -> Value:
        """The same bytes as another dtype of that size."""
        return self._node("view_copy", [x], x.shape, np.dtype(dtype), [0, *_padded(_dense(x.shape))])

    def transpose(self, x: Value, perm: Sequence[int]) -> Value:
        """The axes in another order."""
        if list(perm) == list(range(x.rank)):
            return x
        steps = _dense(x.shape)
        return self.view(x, tuple(x.shape[a] for a in perm), 0, [steps[a] for a in perm])

    def slice(self, x: Value, starts: Sequence[int], sizes: Sequence[int], steps: Sequence[int]) -> Value:
        """One start, size and step (also negative) for each axis."""
        dense = _dense(x.shape)
        offset = sum(start * step for start, step in zip(starts, dense, strict=True))
        return self.view(x, tuple(sizes), offset, [a * b for a, b in zip(steps, dense, strict=True)])

    def take(self, x: Value, axis: int, start: int, size: int = 1) -> Value:
        """A range along one axis."""
        starts = [start if a == axis else 0 for a in range(x.rank)]
        sizes = [size if a == axis else dim for a, dim in enumerate(x.shape)]
        return self.slice(x, starts, sizes, [1] * x.rank)

    def expand(self, x: Value, shape: Sequence[int]) -> Value:
        """Repeat axes of 1, and new leading ones."""
        if tuple(shape) == x.shape:
            return x
        missing = len(shape) - x.rank
        own = _dense(x.shape)
        steps = [0] * missing + [0 if dim == 1 else step for dim, step in zip(x.shape, own, strict=True)]
        return self.view(x, tuple(shape), 0, steps)

    def concat(self, values: Sequence[Value], axis: int) -> Value:
        """One after another along an axis."""
        pieces = [value for value in values if value.size]
        if len(pieces) == 1:
            return pieces[0]
        shape = list(values[0].shape)
        shape[axis] = sum(value.shape[axis] for value in values)
        steps = _dense(tuple(shape))
        at, placed = 0, []
        for piece in pieces:
            placed.append((piece, at * steps[axis], steps))
            at += piece.shape[axis]
        return self.assemble(self.like(0, values[0]), tuple(shape), placed)

    def pad(
        self, x: Value, begins: Sequence[int], ends: Sequence[int], fill: Value, *, spread: Sequence[int] = ()
    ) -> Value:
        """Constant padding; `spread` puts that many steps between neighbours along an axis."""
        spread = list(spread) or [1] * x.rank
        inner = [(dim - 1) * s + 1 for dim, s in zip(x.shape, spread, strict=True)]
        shape = tuple(a + b + c for a, b, c in zip(begins, inner, ends, strict=True))
        if shape == x.shape:
            return x
        steps = _dense(shape)
        offset = sum(a * b for a, b in zip(begins, steps, strict=True))
        return self.assemble(fill, shape, [(x, offset, [a * b for a, b in zip(spread, steps, strict=True)])])

    def assemble(self, fill: Value, shape: Shape, pieces: Sequence[tuple[Value, int, Sequence[int]]]) -> Value:
        """(value, offset, steps) for each piece, at most 64 in one node."""
        if len(pieces) > 64:
            raise UnsupportedOperatorError(
                f"node {self.scope!r} joins {len(pieces)} tensors; split it into parts of 64"
            )
        attributes = [n for _, offset, steps in pieces for n in (offset, *_padded(steps))]
        return self._node("assemble", [fill, *(piece for piece, _, _ in pieces)], shape, fill.dtype, attributes)

    # By index

    def index(self, x: Value, size: int) -> Value:
        """Checked indices; negative ones count from the end."""
        return self._node("index", [x], x.shape, np.dtype(np.int64), [size])

    def gather(self, x: Value, indices: Value, axis: int) -> Value:
        """Slices along an axis in the order of indices."""
        outer, inner = math.prod(x.shape[:axis]), math.prod(x.shape[axis + 1 :])
        shape = (*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])
        return self._node("gather", [x, indices], shape, x.dtype, [outer, x.shape[axis], inner])

    def scatter(self, data: Value, indices: Value, updates: Value, size: int, function: str = "replace") -> Value:
        """Into data seen as [size][inner]."""
        attributes = [size, data.size // size, SCATTER[function]]
        return self._node("scatter", [data, indices, updates], data.shape, data.dtype, attributes)

    def dot(self, a: Value, b: Value) -> Value:
        """Matrix product of the two last axes, the others broadcast."""
        batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
        return self._node("dot", [a, b], (*batch, a.shape[-2], b.shape[-1]), a.dtype)

    # Nodes

    def _node(
        self, op: str, inputs: Sequence[Value], shape: Shape, dtype: np.dtype[Any], attributes: Sequence[int] = ()
    ) -> Value:
        self._checked(dtype)
        if math.prod(shape) == 0:
            return self.constant(np.empty(shape, dtype))
        if len(shape) > TENSOR_RANK_MAX:
            raise UnsupportedOperatorError(f"node {self.scope!r} needs {len(shape)} axes, at most 8 can be had")
        name = f"{self.scope}/{len(self._nodes)}"
        indices = tuple(self._operand(value) for value in inputs)
        self._tensors.append(Tensor(f"{name}/{op}", dtype, shape))
        index = len(self._tensors) - 1
        self._nodes.append(Node(op, name, indices, (index,), tuple(int(a) for a in attributes)))
        return Value(shape, dtype, index=index, roots=frozenset().union(*(value.roots for value in inputs)))

    def _operand(self, value: Value) -> int:
        if value.index is None:
            if value.data is None or value.size == 0:
                raise UnsupportedOperatorError(f"node {self.scope!r} reads a tensor without elements")
            data = np.ascontiguousarray(value.data).reshape(value.shape)
            key = (data.dtype.str, data.shape, data.tobytes())
            if key not in self._constants:
                self._tensors.append(
                    Tensor(f"constant/{len(self._tensors)}", self._checked(data.dtype), data.shape, data=data)
                )
                self._constants[key] = len(self._tensors) - 1
            value.index = self._constants[key]
        return value.index

    def _checked(self, dtype: np.dtype[Any]) -> np.dtype[Any]:
        if dtype not in _DTYPES:
            raise UnsupportedOperatorError(
                f"node {self.scope!r} works on {dtype}, which no operator takes; use float32"
            )
        return dtype


def _dense(shape: Shape) -> list[int]:
    return [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]


def _padded(steps: Sequence[int]) -> list[int]:
    return [*steps, *[0] * (TENSOR_RANK_MAX - len(steps))]


def _index(value: Value) -> int:
    if value.index is None:
        raise ConversionError("internal check of the converter failed: a value has no tensor; please report the model")
    return value.index
