# SPDX-License-Identifier: Apache-2.0
"""The conformance suite of the onnx package: its cases, which of them are in the scope of an edge runtime, and running one."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper
from onnx.backend.test.loader import load_model_tests

from edgeml import onnx_backend
from support.needs import REPOSITORY

PASSED: Final = REPOSITORY / "tests" / "golden" / "onnx_passed.txt"  # "<kind> <name>" of every case that has passed
KINDS: Final = ("node", "simple", "pytorch-converted", "pytorch-operator")  # those whose data the package holds
_TYPES: Final = {
    TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.BOOL, TensorProto.INT8, TensorProto.INT16,
    TensorProto.INT32, TensorProto.INT64, TensorProto.UINT8, TensorProto.UINT16, TensorProto.UINT32, TensorProto.UINT64,
}  # fmt: skip
_SIGNAL: Final = {"DFT", "STFT", "MelWeightMatrix", "ImageDecoder"}
_TRAINING: Final = {"NegativeLogLikelihoodLoss", "SoftmaxCrossEntropyLoss"}


@dataclass(frozen=True)
class Case:
    """One test of the suite. `data` has (inputs, outputs) for each run."""

    kind: str
    name: str
    model: onnx.ModelProto
    data: list[tuple[list[Any], list[Any]]]
    rtol: float
    atol: float

    @property
    def operators(self) -> set[str]:
        return {node.op_type for node in self.model.graph.node}


def cases() -> Iterator[Case]:
    """Every case of every kind."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for kind in KINDS:
            for test in load_model_tests(kind=kind):
                folder = None if test.model_dir is None else Path(test.model_dir)
                model = test.model if folder is None else onnx.load(folder / "model.onnx")
                data = test.data_sets if folder is None else _data(folder)
                yield Case(kind, test.name, model, data, test.rtol, test.atol)


def _data(folder: Path) -> list[tuple[list[Any], list[Any]]]:
    def read(part: Path, what: str) -> list[Any]:
        count = len(list(part.glob(f"{what}_*.pb")))
        return [numpy_helper.to_array(onnx.load_tensor(part / f"{what}_{i}.pb")) for i in range(count)]

    return [(read(part, "input"), read(part, "output")) for part in sorted(folder.glob("test_data_set_*"))]


def out_of_scope(case: Case) -> str | None:  # noqa: PLR0911 (a list of reasons)
    """Why a case is none of an edge runtime; None where it is."""
    graph = case.model.graph
    if any(node.domain not in ("", "ai.onnx") for node in graph.node):
        return "another domain than ai.onnx"
    values = [*graph.input, *graph.output, *graph.value_info]
    made = {name for name in case.operators if "Sequence" in name and name != "ReverseSequence"}
    if made or any(name.startswith("Optional") for name in case.operators):
        return "sequences and optional values"
    if any(value.type.WhichOneof("value") != "tensor_type" for value in values):
        return "sequences and optional values"
    if any(value.type.tensor_type.elem_type not in _TYPES for value in values):
        return "strings, complex numbers, bfloat16, and types of 8 bits or less but int8, uint8 and bool"
    if case.operators & _SIGNAL:
        return "Fourier transforms and image decoding"
    if case.operators & _TRAINING or "training" in case.name:
        return "training"
    return "a second form of another case, its operator expanded" if "_expanded" in case.name else None


def failure(case: Case) -> str | None:
    """None where every output is right, else why not."""
    try:
        prepared = onnx_backend.prepare(case.model)
        for inputs, expected in case.data:
            with np.errstate(all="ignore"):
                _compare(prepared.run(inputs), expected, case)
    except Exception as error:
        return " ".join(str(error).split()) or type(error).__name__
    return None


def _compare(got: tuple[np.ndarray, ...], expected: list[Any], case: Case) -> None:
    assert len(got) == len(expected), f"{len(got)} outputs, not {len(expected)}"
    for value, right in zip(got, expected, strict=True):
        wanted = numpy_helper.to_array(right) if isinstance(right, TensorProto) else np.asarray(right)
        assert value.dtype == wanted.dtype, f"an output is {value.dtype}, not {wanted.dtype}"
        assert value.shape == wanted.shape, f"an output has shape {value.shape}, not {wanted.shape}"
        np.testing.assert_allclose(value, wanted, rtol=case.rtol, atol=case.atol)


def passed_before() -> set[tuple[str, str]]:
    """The committed list, as (kind, name)."""
    return {(kind, name) for kind, name in (line.split() for line in PASSED.read_text().splitlines())}
