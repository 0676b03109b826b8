# SPDX-License-Identifier: Apache-2.0
"""Free dimensions with sizes of the user: fixed ones, a bounded batch, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import helper

import edgeml.convert
from edgeml.convert.options import ConvertOptions
from edgeml.errors import ConversionError, UsageError
from edgeml.session import InferenceSession
from support.onnx_models import make_model

X = np.random.default_rng(1).normal(size=(20, 5, 7)).astype(np.float32)


def convert(shape: list[int | str | None], *dims: str) -> edgeml.Artifact:
    weights = {"w": np.random.default_rng(2).normal(size=(7, 3)).astype(np.float32)}
    model = make_model([helper.make_node("MatMul", ["x", "w"], ["y"])], {"x": shape}, ["y"], weights)
    return edgeml.convert(model, calibration={"x": X}, options=ConvertOptions(dims=dims))


def test_a_dimension_is_fixed() -> None:
    artifact = convert(["N", "T", 7], "T=5")
    (given,) = InferenceSession(artifact.to_bytes()).get_inputs()
    assert (isinstance(given.shape[0], str), given.shape[1:]) == (True, [5, 7])
    assert artifact.metadata["options"]["dims"] == ["T=5"]


def test_the_batch_is_fixed_and_an_unnamed_dimension_has_a_name() -> None:
    (given,) = InferenceSession(convert(["N", None, 7], "N=4", "x:1=5").to_bytes()).get_inputs()
    assert given.shape == [4, 5, 7]


def test_a_bounded_batch_stays_free() -> None:
    session = InferenceSession(convert(["N", 5, 7], "N=1..16").to_bytes())
    assert session.run(None, {"x": X[:16]})[0].shape == (16, 5, 3)


@pytest.mark.parametrize(
    ("dims", "sentence"),
    [
        ((), r"'T' at axis 1.*--dim T=SIZE"),
        (("T=1..5",), r"'T' of input 'x' cannot stay free between 1 and 5.*T=5"),
        (("T=5", "S=2"), r"no input has a free dimension 'S'; there are N, T"),
    ],
)
def test_what_is_refused(dims: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(ConversionError, match=sentence):
        convert(["N", "T", 7], *dims)


@pytest.mark.parametrize("text", ["T", "T=", "=5", "T=0", "T=5..2", "T=-1", "T=99999999999", "T=1..", "T=five"])
def test_texts_that_are_no_dimension(text: str) -> None:
    with pytest.raises(UsageError, match="NAME=SIZE"):
        ConvertOptions(dims=(text,))
