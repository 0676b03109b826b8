# SPDX-License-Identifier: Apache-2.0
"""Evaluates a single ONNX node whose inputs are constants, by the reference implementation of the onnx package."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx
from onnx import AttributeProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from edgeml.convert.model_limits import check_shapes, output_shapes
from edgeml.errors import ConversionError

Array = npt.NDArray[Any]
SHAPE_ELEMENTS_MAX: Final = 1024  # of a constant that may say how large another one becomes
RANDOM_OPERATORS: Final = (
    "RandomNormal",
    "RandomUniform",
    "RandomNormalLike",
    "RandomUniformLike",
    "Bernoulli",
    "Multinomial",
)


class NotEvaluatedError(Exception):
    """The reference implementation refused; the message says why."""


def evaluate_constant(node: onnx.NodeProto, feed: Mapping[str, Array], opset: int) -> dict[str, Array]:
    """Outputs by name. Raises NotEvaluatedError."""
    inputs = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), None)
        for name, value in feed.items()
    ]
    names = [name for name in node.output if name]
    outputs = [helper.make_empty_tensor_value_info(name) for name in names]
    if any(a.type in (AttributeProto.GRAPH, AttributeProto.GRAPHS) for a in node.attribute):
        raise NotEvaluatedError("it has a subgraph")
    graph = helper.make_graph([node], "constant", inputs, outputs)
    small = [
        numpy_helper.from_array(v, n) for n, v in feed.items() if v.size <= SHAPE_ELEMENTS_MAX and v.dtype != object
    ]
    sized = helper.make_graph([node], "sizes", inputs, outputs, small)
    try:
        check_shapes(output_shapes(sized, opset))
    except ConversionError as error:
        raise NotEvaluatedError(str(error)) from error
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            results = ReferenceEvaluator(model).run(None, dict(feed))
    except Exception as error:
        raise NotEvaluatedError(str(error)) from error
    return {name: np.asarray(value) for name, value in zip(names, results, strict=True)}
