# SPDX-License-Identifier: Apache-2.0
"""edgeml as a backend of ONNX (`onnx.backend.base.Backend`): a model in float32, or any dtype it declares, on the edgeml runtime.

    prepared = edgeml.onnx_backend.prepare(onnx.load("model.onnx"))
    (y,) = prepared.run([x])

The model is lowered to an `.edgeml` artifact of plain operators and run by the C++ core. Inputs that decide a shape (the second
one of Reshape, for example) are bound when `run` first sees their values; each set of values is lowered once and kept.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper
from onnx.backend.base import Backend, BackendRep

from edgeml import __version__
from edgeml.artifact import Artifact
from edgeml.artifact.model import Content
from edgeml.convert.plain import Lowered, lower
from edgeml.convert.plain.builder import NeedsValueError
from edgeml.convert.plain.rules import RULES
from edgeml.errors import InputError, UnsupportedOperatorError
from edgeml.session import InferenceSession

Array = npt.NDArray[Any]
PREPARED_MAX: Final = 8  # artifacts that a prepared model keeps, one for each set of shapes and bound values


class EdgemlRep(BackendRep):
    """A model that is ready to run."""

    def __init__(self, model: onnx.ModelProto) -> None:
        """Keep the model; it is lowered when the shapes of the inputs are known."""
        self._model = model
        initializers = {proto.name for proto in model.graph.initializer}
        self._inputs = [proto for proto in model.graph.input if proto.name not in initializers]
        self._bound: frozenset[str] = frozenset()
        self._ready: OrderedDict[tuple[Any, ...], tuple[Lowered, InferenceSession | None]] = OrderedDict()

    def run(self, inputs: Sequence[Array], **_kwargs: Any) -> tuple[Array, ...]:
        """Arrays in the order of the model's inputs; a list of the outputs in order.

        Raises:
            InputError: arrays that the model does not take.
            UnsupportedOperatorError: an operator, dtype or shape that cannot be lowered.
        """
        if len(inputs) != len(self._inputs):
            raise InputError(f"the model has {len(self._inputs)} inputs, {len(inputs)} arrays were given")
        inputs = [numpy_helper.to_array(v) if isinstance(v, onnx.TensorProto) else v for v in inputs]
        if any(not isinstance(value, (np.ndarray, np.generic)) for value in inputs):
            raise UnsupportedOperatorError("an input is no tensor; sequences and optional values are not supported")
        feed = {proto.name: np.asarray(value) for proto, value in zip(self._inputs, inputs, strict=True)}
        lowered, session = self._prepared(feed)
        values: dict[str, Array] = {}
        if session is not None:
            wanted = {spec.name: feed[spec.name] for spec in session.get_inputs()}
            names = [spec.name for spec in session.get_outputs()]
            values = dict(zip(names, session.run(None, wanted), strict=True))
        results = []
        for output in lowered.outputs:
            value = values[output.name] if output.known is None else output.known
            if output.count is not None:
                axis, count = output.count
                value = value[(slice(None),) * axis + (slice(int(values[count])),)]
            results.append(value)
        return tuple(results)

    def _prepared(self, feed: Mapping[str, Array]) -> tuple[Lowered, InferenceSession | None]:
        while True:
            bound = {name: v for name, v in feed.items() if name in self._bound or v.size == 0}
            key = tuple((n, v.shape, v.dtype.str, v.tobytes() if n in bound else b"") for n, v in feed.items())
            if key in self._ready:
                self._ready.move_to_end(key)
                return self._ready[key]
            try:
                lowered = lower(_with_shapes(self._model, feed), RULES, bound)
            except NeedsValueError as error:
                if error.inputs <= self._bound:
                    raise
                self._bound |= error.inputs
                continue
            session = None
            if lowered.graph is not None:
                metadata = {
                    "format": 1,
                    "name": self._model.graph.name,
                    "options": {},
                    "producer": f"edgeml {__version__}",
                }
                session = InferenceSession(Artifact.build(Content(lowered.graph, metadata, None)).to_bytes())
            self._ready[key] = (lowered, session)
            if len(self._ready) > PREPARED_MAX:
                self._ready.popitem(last=False)
            return lowered, session


def _with_shapes(model: onnx.ModelProto, feed: Mapping[str, Array]) -> onnx.ModelProto:
    """The model with the shapes of these arrays as those of its inputs."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for proto in copy.graph.input:
        if proto.name in feed:
            dtype = helper.np_dtype_to_tensor_dtype(feed[proto.name].dtype)
            proto.type.CopyFrom(helper.make_tensor_type_proto(dtype, feed[proto.name].shape))
    return copy


class EdgemlBackend(Backend):
    """The functions that ONNX asks of a backend."""

    @classmethod
    def supports_device(cls, device: str) -> bool:
        """True for CPU."""
        return device.split(":", maxsplit=1)[0] == "CPU"

    @classmethod
    def is_compatible(cls, model: onnx.ModelProto, device: str = "CPU", **_kwargs: Any) -> bool:
        """Whether every operator is of ONNX's own domain; shapes and dtypes are looked at by `prepare` and `run`."""
        return cls.supports_device(device) and all(node.domain in ("", "ai.onnx") for node in model.graph.node)

    @classmethod
    def prepare(cls, model: onnx.ModelProto, device: str = "CPU", **_kwargs: Any) -> EdgemlRep:
        """A model that runs. Raises UnsupportedOperatorError for a device other than CPU."""
        if not cls.supports_device(device):
            raise UnsupportedOperatorError(f"device {device!r} is not supported; use CPU")
        return EdgemlRep(model)

    @classmethod
    def run_node(
        cls, node: onnx.NodeProto, inputs: Sequence[Array], device: str = "CPU", outputs_info: Any = None, **kwargs: Any
    ) -> tuple[Array, ...]:
        """One node on arrays; `opset_version` may name its opset."""
        del outputs_info
        names = [name for name in node.input if name]
        protos = [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
            for name, value in zip(names, inputs, strict=True)
        ]
        outputs = [helper.make_empty_tensor_value_info(name) for name in node.output if name]
        opset = helper.make_opsetid("", kwargs.get("opset_version", onnx.defs.onnx_opset_version()))
        model = helper.make_model(helper.make_graph([node], "node", protos, outputs), opset_imports=[opset])
        return cls.prepare(model, device).run(inputs)


prepare = EdgemlBackend.prepare
run_model = EdgemlBackend.run_model
run_node = EdgemlBackend.run_node
supports_device = EdgemlBackend.supports_device
is_compatible = EdgemlBackend.is_compatible
