# SPDX-License-Identifier: Apache-2.0
"""`InferenceSession`: loads an artifact and runs it; takes what onnxruntime's class of that name takes."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeml import _core
from edgeml.errors import ArtifactError, InputError, UsageError
from edgeml.layer_rates import LayerRates
from edgeml.layer_rates import load as load_rates

Array = npt.NDArray[Any]

_TYPES = {
    "float16": "tensor(float16)",
    "float32": "tensor(float)",
    "float64": "tensor(double)",
}  # others: tensor(DTYPE)


@dataclass(frozen=True)
class TensorSpec:
    """A graph input or output. A free batch is "N" in `shape`; scale and zero_point are 0 for float tensors."""

    name: str
    shape: list[int | str]
    type: str
    dtype: np.dtype[Any]
    scale: float
    zero_point: int


class InferenceSession:
    """An artifact, checked, planned and prepacked for this machine.

    Everything that can fail, fails here; `run` checks names, shapes and dtypes, and then fails only where the data
    hold an index that is out of range. Several threads
    may use one session: their runs take turns.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | bytes,
        *,
        threads: int | None = None,
        isa: str | None = None,
        rates: str | os.PathLike[str] | Mapping[str, LayerRates] | None = None,
    ) -> None:
        """Load an artifact from a path or from its bytes.

        Args:
            model: path of an `.edgeml` file, or its bytes.
            threads: threads that one run uses; None: EDGEML_THREADS, else 1; 0: as many as the CPU set and quota allow.
            isa: a level of `edgeml info` that is at most what the machine has; None: EDGEML_ISA, else the best.
            rates: by what it is chosen whether layers with sparse weights run sparse: a file of `edgeml tune`, or rates by
                ISA level; None: EDGEML_RATES, else the device's file, else those of edgeml (layer_rates.py). The results
                are the same.

        Raises:
            ArtifactError: the file cannot be read or is damaged.
            IsaError: this machine does not run the level.
            UsageError: threads is not a number from 0 to 256; a file of rates cannot be read.
        """
        self._source = model if isinstance(model, bytes) else os.fspath(model)
        isa = isa or os.environ.get("EDGEML_ISA") or None
        levels = rates if isinstance(rates, Mapping) else load_rates(rates)
        self._core = _core.Session(self._source, _threads(threads), isa, levels.get(isa or _core.ISAS[0]))
        self._inputs = [_spec(info) for info in self._core.inputs]
        self._outputs = [_spec(info) for info in self._core.outputs]
        self._output_index = {spec.name: i for i, spec in enumerate(self._outputs)}

    def get_inputs(self) -> list[TensorSpec]:
        """The graph inputs, in order."""
        return list(self._inputs)

    def get_outputs(self) -> list[TensorSpec]:
        """The graph outputs, in order."""
        return list(self._outputs)

    @property
    def metadata(self) -> dict[str, Any]:
        """The metadata of the artifact: name, producer, options, ... (docs/design/artifact-format.md, section 6)."""
        metadata: dict[str, Any] = json.loads(self._core.metadata)
        return metadata

    @property
    def telemetry_bytes(self) -> bytes | None:
        """The telemetry schema of the artifact (docs/design/wire.md, section 1); None where it carries none."""
        return self._core.telemetry.encode() or None

    @cached_property
    def model_id(self) -> bytes:
        """The first 8 bytes of the SHA-256 of the artifact; read from its file at the first use.

        Raises:
            ArtifactError: the file can no longer be read.
        """
        import hashlib  # noqa: PLC0415 - maps OpenSSL, 4 MB that a device without a monitor does not need

        if isinstance(self._source, bytes):
            return hashlib.sha256(self._source).digest()[:8]
        try:
            with open(self._source, "rb") as file:  # noqa: PTH123 - pathlib would be a megabyte for this one line
                return hashlib.sha256(file.read()).digest()[:8]
        except OSError as error:
            raise ArtifactError(f"cannot read {self._source} for its model id: {error.strerror}") from error

    @property
    def isa(self) -> str:
        """The instruction-set level that this session runs."""
        return self._core.isa

    @property
    def threads(self) -> int:
        """The threads that one run uses."""
        return self._core.threads

    def run(
        self,
        output_names: Sequence[str] | Mapping[str, Array] | None,
        input_feed: Mapping[str, Array] | None = None,
    ) -> list[Array]:
        """Run the network: `run(None, {"input": x})` as in onnxruntime, or `run({"input": x})`.

        Args:
            output_names: outputs wanted, in that order; None: all.
            input_feed: one array per graph input, of the shape and dtype of `get_inputs()`; a free batch is any >= 1.

        Returns:
            One new array per wanted output.

        Raises:
            InputError: a name, shape or dtype that the model does not take, or an index out of range.
        """
        if output_names is None:
            results = self._core.run(input_feed)  # the plain case: everything is checked there, in C
            if results is not None:
                return results
        return self._run_checked(output_names, input_feed)

    def bind(self, inputs: Mapping[str, Array], outputs: Mapping[str, Array] | None = None) -> _core.BoundRun:
        """Check arrays once, for many runs: the result is a callable that allocates nothing.

            bound = session.bind({"input": x}, {"output": y})
            while camera.read_into(x):
                bound()  # y holds the result

        `bound.inputs` and `bound.outputs` are the arrays by name, which it keeps alive. Several threads may call it: the
        calls take turns, with runs of the session too, but they share the arrays.

        Args:
            inputs: one array per graph input, of the shape and dtype of `get_inputs()`, all of one batch, in C order.
            outputs: one writable array per graph output, of the shape and dtype of `get_outputs()` and the batch of the
                inputs, in C order, sharing no memory with another one; None: new arrays.

        Raises:
            InputError: an array that cannot be used in place; or, by a call, an array that was resized, retyped or made
                read-only after bind().
        """
        in_arrays = self._in_place("input", self._inputs, inputs)
        batch = self._core.declared_batch or in_arrays[0].shape[0]
        if outputs is None:
            shapes = [[batch if dim == "N" else int(dim) for dim in spec.shape] for spec in self._outputs]
            outputs = {s.name: np.empty(shape, s.dtype) for s, shape in zip(self._outputs, shapes, strict=True)}
        out_arrays = self._in_place("output", self._outputs, outputs, batch)
        for i, (spec, array) in enumerate(zip(self._outputs, out_arrays, strict=True)):
            if not array.flags.writeable:
                raise InputError(f"output {spec.name!r} is read-only, the results must be written into it")
            # Both are contiguous, so that the bounds that may_share_memory() compares are the memory.
            if any(np.may_share_memory(array, other) for other in (*in_arrays, *out_arrays[:i])):
                raise InputError(f"output {spec.name!r} shares memory with another array: bind one of its own")
        return self._core.bind_arrays(in_arrays, out_arrays)

    def profile(self, input_feed: Mapping[str, Array], *, runs: int = 50) -> list[_core.NodeProfile]:
        """Median nanoseconds of every node over `runs` runs. Raises InputError as `run` does."""
        return self._core.profile(self._plain(input_feed), runs)

    def durations_ns(self, input_feed: Mapping[str, Array], *, runs: int = 50) -> list[int]:
        """Nanoseconds of each of `runs` runs in a row, around the native core alone. Raises InputError as `run` does."""
        return self._core.durations_ns(self._plain(input_feed), runs)

    def _run_checked(
        self, output_names: Sequence[str] | Mapping[str, Array] | None, input_feed: Mapping[str, Array] | None
    ) -> list[Array]:
        """What `run` does when some output names are wanted or the arrays must be converted or refused."""
        if input_feed is None:
            if not isinstance(output_names, Mapping):
                raise InputError("run() got no input arrays: call run(None, {name: array})")
            input_feed, output_names = output_names, None
        wanted = None if output_names is None else [self._output(str(name)) for name in output_names]
        results = self._core.run(self._plain(input_feed))
        if results is None:
            raise InputError("an input array was changed by another thread while run() read it")
        return results if wanted is None else [results[i] for i in wanted]

    def _plain(self, feed: Mapping[str, Array]) -> dict[str, Array]:
        """The arrays of the inputs as the core takes them: in C order and aligned, copied where they are not."""
        self._check_names("input", self._inputs, feed)
        plain = {spec.name: np.require(feed[spec.name], requirements=("C", "A")) for spec in self._inputs}
        self._check_arrays("input", self._inputs, plain)
        return plain

    def _in_place(
        self, side: str, specs: Sequence[TensorSpec], arrays: Mapping[str, Array], batch: int = 0
    ) -> list[Array]:
        """The arrays of all inputs or all outputs, in order, checked to be usable where they stand; batch 0: any."""
        self._check_names(side, specs, arrays)
        for spec in specs:
            array = arrays[spec.name]
            if not isinstance(array, np.ndarray):
                raise InputError(f"{side} {spec.name!r} is a {type(array).__name__}, bind() takes NumPy arrays")
            if not (array.flags.c_contiguous and array.flags.aligned):
                raise InputError(
                    f"{side} {spec.name!r} is not contiguous in C order and aligned: bind numpy.ascontiguousarray(x)"
                )
        self._check_arrays(side, specs, arrays, batch)
        return [arrays[spec.name] for spec in specs]

    def _check_names(self, side: str, specs: Sequence[TensorSpec], arrays: Mapping[str, Array]) -> None:
        def has() -> str:
            verb = "takes" if side == "input" else "gives"
            return f"the model {verb} " + ", ".join(f"{s.name!r} {_show(s.shape)} {s.dtype}" for s in specs)

        names = [spec.name for spec in specs]
        for name in names:
            if name not in arrays:
                raise InputError(f"{side} {name!r} is missing; {has()}")
        if len(arrays) != len(names):
            unknown = sorted(set(arrays) - set(names))
            raise InputError(f"the model has no {side} {unknown[0]!r}; {has()}")

    @staticmethod
    def _check_arrays(side: str, specs: Sequence[TensorSpec], arrays: Mapping[str, Array], batch: int = 0) -> None:
        verb = "takes" if side == "input" else "gives"
        for spec in specs:
            array = arrays[spec.name]
            shape = array.shape
            if array.dtype != spec.dtype:
                way_out = f": pass x.astype(numpy.{spec.dtype})" if side == "input" else ""
                raise InputError(
                    f"{side} {spec.name!r} has dtype {array.dtype}, the model {verb} {spec.dtype}{way_out}"
                )
            if len(shape) != len(spec.shape) or list(shape[1:]) != spec.shape[1:] or 0 in shape:
                raise InputError(f"{side} {spec.name!r} has shape {list(shape)}, the model {verb} {_show(spec.shape)}")
            if not shape:
                continue
            if spec.shape[0] == "N":
                batch = batch or shape[0]
            expected = batch if spec.shape[0] == "N" else spec.shape[0]
            if shape[0] != expected:
                raise InputError(f"{side} {spec.name!r} has a batch of {shape[0]}, expected {expected}")

    def _output(self, name: str) -> int:
        index = self._output_index.get(name)
        if index is None:
            raise InputError(f"the model has no output {name!r}; it has {', '.join(self._output_index)}")
        return index


def _show(shape: Sequence[int | str]) -> str:
    return "[" + ", ".join(str(n) for n in shape) + "]"


def _spec(info: _core.TensorInfo) -> TensorSpec:
    shape: list[int | str] = list(info.dims)
    if shape[:1] == [0]:
        shape[0] = "N"
    kind = _TYPES.get(info.dtype, f"tensor({info.dtype})")
    return TensorSpec(info.name, shape, kind, np.dtype(info.dtype), info.scale, info.zero_point)


def _threads(threads: int | None) -> int:
    if threads is not None:
        return threads
    text = os.environ.get("EDGEML_THREADS")
    if not text:
        return 1
    try:
        return int(text)
    except ValueError:
        raise UsageError(f"EDGEML_THREADS is {text!r}, expected a whole number from 0 to 256") from None
