# SPDX-License-Identifier: Apache-2.0
"""ONNX file, bytes or ModelProto -> float `ir.Graph` whose every shape is known, with the batch kept free where it was."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import (
    TensorProto,
    checker,
    external_data_helper,
    helper,
    inliner,
    numpy_helper,
    shape_inference,
    version_converter,
)

from edgeml.convert.constant_evaluation import RANDOM_OPERATORS, NotEvaluatedError, evaluate_constant
from edgeml.convert.dimensions import Sizes, bind_dims
from edgeml.convert.float_node import OPSET_CANONICAL
from edgeml.convert.model_limits import check_functions, check_shapes, propagates_data
from edgeml.convert.quantized_form import expand_quantized_operators, is_quantized, is_quantized_operator
from edgeml.convert.stored import Stored
from edgeml.convert.stored_quantization import collect
from edgeml.errors import ConversionError, ModelFormatError, UnsupportedOperatorError
from edgeml.ir import Graph, Node, Tensor, verify

OPSET_MIN: Final = 7
MODEL_BYTES_MAX: Final = 2**31 - 1
_MIXED_BATCH_HINT: Final = "export the model with a fixed batch of 1"

_ONNX_ERRORS: Final = (
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    RuntimeError,
    OverflowError,
    RecursionError,
    MemoryError,
    AssertionError,
    AttributeError,
    DecodeError,
    checker.ValidationError,
)

ModelSource = str | os.PathLike[str] | bytes | onnx.ModelProto
_Known = dict[str, tuple[tuple[int, ...], np.dtype[Any]]]  # shape and dtype by tensor name


@dataclass(frozen=True)
class ImportedModel:
    """A float graph and where it came from; `opset` is that of the source, `source_sha256` hex over its bytes."""

    graph: Graph
    name: str
    opset: int
    source_sha256: str
    stored: Stored | None  # of a model that was quantized already


def import_onnx(source: ModelSource, dims: Mapping[str, Sizes] | None = None) -> ImportedModel:
    """Read, check and import a model; `dims` gives its free dimensions sizes.

    Raises:
        ModelFormatError: not an ONNX file, a truncated or inconsistent one, or its external data is out of reach.
        UnsupportedOperatorError: an operator of another domain or of no known opset, or a shape that depends on data.
        ConversionError: an opset, input dtype or free dimension that cannot be converted.
    """
    model, data, name = _load(source)
    bind_dims(model, dims or {})
    try:
        graph, stored = _import(model, name)
        opset = graph.opset
    except _ONNX_ERRORS as error:
        # What the onnx package raises over files that its checker lets pass.
        raise ModelFormatError(f"the model is damaged: {_first_line(error)}; export it again") from error
    verify(graph)
    return ImportedModel(graph, name, opset, hashlib.sha256(data).hexdigest(), stored)


def _import(model: onnx.ModelProto, name: str) -> tuple[Graph, Stored | None]:
    """The float graph, and what a quantized model stores."""
    opset = _check_model(model)
    if opset < OPSET_CANONICAL:
        model = _upgrade(model, opset)
    quantized = is_quantized(model)
    if quantized:
        expand_quantized_operators(model)
    shapes, free = _infer_shapes(model)
    check_shapes({name: shape for name, (shape, _) in shapes.items()})
    graph = dataclasses.replace(_graph(model, shapes, free=free, name=name), opset=opset)
    return collect(graph) if quantized else (graph, None)


def _load(source: ModelSource) -> tuple[onnx.ModelProto, bytes, str]:
    """The model with its external data, its bytes, and a name for people."""
    if isinstance(source, onnx.ModelProto):
        model = onnx.ModelProto()
        model.CopyFrom(source)
        data = model.SerializeToString(deterministic=True)
        folder, where = None, "the ModelProto"
    elif isinstance(source, bytes):
        data, folder, where = source, None, "the bytes"
        model = _parse(data, where)
    else:
        path = Path(source)
        where = os.fspath(path)
        try:
            if path.stat().st_size > MODEL_BYTES_MAX:
                raise ModelFormatError(f"{where} is larger than an ONNX file can be; keep weights in external data")
            data = path.read_bytes()
        except OSError as error:
            raise ModelFormatError(f"cannot read {where}: {error.strerror}") from error
        model = _parse(data, where)
        folder = path.resolve().parent
    _load_external_data(model, folder, where)
    name = Path(source).stem if isinstance(source, (str, os.PathLike)) else model.graph.name
    return model, data, name or "model"


def _parse(data: bytes, where: str) -> onnx.ModelProto:
    try:
        model = onnx.load_model_from_string(data)
    except DecodeError as error:
        raise ModelFormatError(f"{where} is not an ONNX file, or a truncated one; export it again") from error
    if not model.HasField("graph") or not model.graph.output or not model.opset_import:
        raise ModelFormatError(f"{where} is not an ONNX model: it has no graph or no opset; export it again")
    return model


def _load_external_data(model: onnx.ModelProto, folder: Path | None, where: str) -> None:
    for tensor in external_data_helper._get_all_tensors(model):  # noqa: SLF001 (the only walk over attributes too)
        if not external_data_helper.uses_external_data(tensor):
            continue
        location = external_data_helper.ExternalDataInfo(tensor).location
        if folder is None:
            raise ModelFormatError(
                f"tensor {tensor.name!r} of {where} is in the external file {location!r}; give a path"
            )
        path = (folder / location).resolve()
        if not path.is_relative_to(folder) or not path.is_file():
            raise ModelFormatError(
                f"tensor {tensor.name!r} of {where} is in {location!r}, no file in the model's folder"
            )
        try:
            external_data_helper.load_external_data_for_tensor(tensor, str(folder))
        except (OSError, ValueError, checker.ValidationError) as error:
            raise ModelFormatError(
                f"the data of tensor {tensor.name!r} in {location!r} cannot be read: {error}"
            ) from error
        tensor.data_location = TensorProto.DEFAULT
        del tensor.external_data[:]


def _check_model(model: onnx.ModelProto) -> int:
    """Check operators, opset and structure; inline the model's own functions; return the opset."""
    check_functions(model)
    if model.functions:
        model.CopyFrom(inliner.inline_local_functions(model))
    opset = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 0)
    newest = onnx.defs.onnx_opset_version()
    if not OPSET_MIN <= opset <= newest:
        raise ConversionError(
            f"the model uses opset {opset}, the converter knows {OPSET_MIN} to {newest}; export it with opset {OPSET_CANONICAL}"
        )
    for index, node in enumerate(model.graph.node):
        if is_quantized_operator(node):
            continue
        known = node.domain in ("", "ai.onnx") and onnx.defs.has(node.op_type)
        if not known or onnx.defs.get_schema(node.op_type).deprecated:
            operator = f"{node.domain}.{node.op_type}" if node.domain else node.op_type
            raise UnsupportedOperatorError(
                f"operator {operator} (opset {opset}, node {_node_name(node, index)!r}) is not a standard ONNX operator; "
                "export the model without custom or contributed operators"
            )
    if any(isinstance(name, bytes) for name in (model.graph.name, *(node.name for node in model.graph.node))):
        raise ModelFormatError("a name in the model is not UTF-8; export it again")  # protobuf then gives bytes
    if model.graph.sparse_initializer:
        raise ConversionError("the model has sparse initializers; export it with dense weights")
    for value in model.graph.output:
        value.type.tensor_type.shape.SetInParent()  # some exporters leave it out; it is inferred in any case
    try:
        checker.check_model(model)
    except checker.ValidationError as error:
        raise ModelFormatError(
            f"the model breaks the ONNX specification: {_first_line(error)}; export it again"
        ) from error
    return opset


def _upgrade(model: onnx.ModelProto, opset: int) -> onnx.ModelProto:
    try:
        return version_converter.convert_version(model, OPSET_CANONICAL)
    except (RuntimeError, version_converter.ConvertError) as error:
        raise ConversionError(
            f"opset {opset} cannot be brought to {OPSET_CANONICAL}: {_first_line(error)}; export with opset {OPSET_CANONICAL}"
        ) from error


def _infer_shapes(model: onnx.ModelProto) -> tuple[_Known, bool]:
    """Shape and dtype of every tensor, with 0 for a free batch; and whether the batch is free.

    A free batch is found by inferring with a batch of 1 and of 2: what differs must be axis 0 and nothing else.
    """
    constants = {tensor.name for tensor in model.graph.initializer}
    free = {_has_free_batch(value) for value in model.graph.input if value.name not in constants}
    if not free:
        raise ConversionError("the model has no inputs")
    if len(free) == 2:
        raise ConversionError(f"some inputs have a free batch and some a fixed one; {_MIXED_BATCH_HINT}")
    if not free.pop():
        return _infer_with_batch(model, None), False
    one, two = _infer_with_batch(model, 1), _infer_with_batch(model, 2)
    for name, (shape, dtype) in one.items():
        other = two[name][0]
        if other == shape:
            continue
        if other != (2, *shape[1:]) or shape[0] != 1:
            node = next(node for node in model.graph.node if name in node.output)
            raise UnsupportedOperatorError(
                f"operator {node.op_type} (node {node.name!r}) moves the free batch of its output {name!r} away from axis 0; "
                "keep the batch on axis 0"
            )
        one[name] = ((0, *shape[1:]), dtype)
    return one, True


def _has_free_batch(value: onnx.ValueInfoProto) -> bool:
    tensor_type = value.type.tensor_type
    if tensor_type.elem_type != TensorProto.FLOAT:
        kind = TensorProto.DataType.Name(tensor_type.elem_type) if tensor_type.elem_type else "no tensor"
        raise ConversionError(f"input {value.name!r} is {kind}, not FLOAT; export the model with float32 inputs")
    dims = tensor_type.shape.dim
    if not dims:
        raise ConversionError(f"input {value.name!r} has no shape or is a scalar; export it with a batch axis")
    for axis, dim in enumerate(dims):
        if axis and dim.dim_value < 1:
            raise ConversionError(
                f"input {value.name!r} has the free dimension {dim.dim_param or '?'!r} at axis {axis}; only axis 0, the "
                f"batch, may be free: fix it with --dim {dim.dim_param or f'{value.name}:{axis}'}=SIZE, or export with fixed sizes"
            )
    return bool(dims[0].dim_value < 1)


def _infer_with_batch(model: onnx.ModelProto, batch: int | None) -> _Known:
    bound = onnx.ModelProto()
    bound.CopyFrom(model)
    del bound.graph.value_info[:]
    constants = {tensor.name for tensor in bound.graph.initializer}
    if batch is not None:
        for value in bound.graph.input:
            if value.name not in constants:
                value.type.tensor_type.shape.dim[0].dim_value = batch
    for value in bound.graph.output:
        value.type.tensor_type.ClearField("shape")
    known: _Known = {}
    while True:
        known.update(_infer_once(bound))
        unknown = any(name and name not in known for node in bound.graph.node for name in node.output)
        if not unknown or not _fold_shapes(bound, known):
            break
    _check_all_known(model, known)
    return known


def _infer_once(bound: onnx.ModelProto) -> _Known:
    try:
        inferred = shape_inference.infer_shapes(
            bound, check_type=True, strict_mode=True, data_prop=propagates_data(bound.graph)
        )
    except (shape_inference.InferenceError, RuntimeError) as error:
        raise ModelFormatError(f"the shapes of the model do not fit: {_first_line(error)}") from error
    known = {}
    for value in (*inferred.graph.input, *inferred.graph.value_info, *inferred.graph.output):
        tensor_type = value.type.tensor_type
        dims = tensor_type.shape.dim
        if tensor_type.HasField("shape") and all(dim.HasField("dim_value") for dim in dims):
            dtype = helper.tensor_dtype_to_np_dtype(tensor_type.elem_type)
            known[value.name] = (tuple(dim.dim_value for dim in dims), dtype)
    return known


def _fold_shapes(bound: onnx.ModelProto, known: _Known) -> bool:
    """Turn Shape of a known shape and nodes of constants into constants; whether there was one.

    Shape inference follows some arithmetic on shapes by itself, but not all that exporters write.
    """
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in bound.graph.initializer}
    opset = next(entry.version for entry in bound.opset_import if entry.domain in ("", "ai.onnx"))
    kept = []
    for node in bound.graph.node:
        if node.op_type == "Shape" and node.input[0] in known:
            feed = {node.input[0]: np.zeros(known[node.input[0]][0], np.int8)}
        elif node.op_type not in RANDOM_OPERATORS and all(not name or name in constants for name in node.input):
            feed = {name: constants[name] for name in node.input if name}
        else:
            kept.append(node)
            continue
        try:
            values = evaluate_constant(node, feed, opset)
        except NotEvaluatedError:
            kept.append(node)
            continue
        for name, value in values.items():
            constants[name] = value
            known[name] = (value.shape, value.dtype)
            bound.graph.initializer.append(numpy_helper.from_array(value, name))
    folded = len(kept) < len(bound.graph.node)
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in kept]
    del bound.graph.node[:]
    bound.graph.node.extend(copies)
    return folded


def _check_all_known(model: onnx.ModelProto, known: dict[str, Any]) -> None:
    opset = next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
    for index, node in enumerate(model.graph.node):
        for name in node.output:
            if name and name not in known:
                raise UnsupportedOperatorError(
                    f"operator {node.op_type} (opset {opset}, node {_node_name(node, index)!r}) gives {name!r} a shape that "
                    "depends on data; only static shapes can be converted: cut the model before this node"
                )


def _graph(model: onnx.ModelProto, known: _Known, *, free: bool, name: str) -> Graph:
    tensors = {}
    for proto in model.graph.initializer:
        tensors[proto.name] = Tensor.constant(proto.name, numpy_helper.to_array(proto))
    for tensor_name, (shape, dtype) in known.items():
        tensors.setdefault(tensor_name, Tensor(tensor_name, shape, dtype))
    constants = {proto.name for proto in model.graph.initializer}
    inputs = tuple(value.name for value in model.graph.input if value.name not in constants)
    batches = {tensors[i].shape[0] for i in inputs}
    if not free and len(batches) > 1:
        raise ConversionError(f"the inputs have different batches {sorted(batches)}; {_MIXED_BATCH_HINT}")
    nodes = tuple(_node(proto, index) for index, proto in enumerate(model.graph.node))
    outputs = tuple(value.name for value in model.graph.output)
    return Graph(name, tensors, nodes, inputs, outputs)


def _node(proto: onnx.NodeProto, index: int) -> Node:
    attributes = {attribute.name: _attribute(attribute) for attribute in proto.attribute}
    return Node(proto.op_type, _node_name(proto, index), tuple(proto.input), tuple(proto.output), attributes)


def _node_name(node: onnx.NodeProto, index: int) -> str:
    return node.name or f"{node.op_type}_{index}"


def _attribute(proto: onnx.AttributeProto) -> Any:
    value = helper.get_attribute_value(proto)
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, TensorProto):
        return numpy_helper.to_array(value)
    if proto.type in (onnx.AttributeProto.INTS, onnx.AttributeProto.FLOATS):
        return tuple(value)
    return value


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:300] if str(error).strip() else type(error).__name__
