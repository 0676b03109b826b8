# SPDX-License-Identifier: Apache-2.0
"""Calibration data in a folder: the same bytes as in one file, and a sentence for what is no data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import helper

import edgeml.convert
from edgeml.errors import CalibrationError
from support.onnx_models import make_model, small_data, small_network


def test_folders_of_batches_and_of_samples(tmp_path: Path) -> None:
    x = small_data()["input"]
    expected = edgeml.convert(small_network(), calibration={"input": x}).to_bytes()
    batches, samples, archives = (tmp_path / name for name in ("batches", "samples", "archives"))
    for folder in (batches, samples, archives):
        folder.mkdir()
    for number, begin in enumerate(range(0, len(x), 16)):
        np.save(batches / f"{number:03}.npy", x[begin : begin + 16])
        np.savez(archives / f"{number:03}.npz", input=x[begin : begin + 16])
    for number, sample in enumerate(x):
        np.save(samples / f"{number:04}.npy", sample)
    (samples / "README").write_text("not data", encoding="utf-8")
    for folder in (batches, samples, archives):
        assert edgeml.convert(small_network(), calibration=folder).to_bytes() == expected


def test_folders_that_are_no_data(tmp_path: Path) -> None:
    with pytest.raises(CalibrationError, match=r"no \.npy or \.npz"):
        edgeml.convert(small_network(), calibration=tmp_path)
    (tmp_path / "a.npy").write_bytes(b"\x93NUMPY")
    with pytest.raises(CalibrationError, match=r"a\.npy"):
        edgeml.convert(small_network(), calibration=tmp_path)
    np.save(tmp_path / "a.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(CalibrationError, match=r"a\.npy"):
        edgeml.convert(small_network(), calibration=tmp_path)
    np.savez(tmp_path / "b.npz", input=small_data()["input"])
    (tmp_path / "b.npz").rename(tmp_path / "a.npy")
    with pytest.raises(CalibrationError, match=r"a\.npy is an archive"):
        edgeml.convert(small_network(), calibration=tmp_path)


def test_one_array_for_two_inputs(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.ones((20, 4), np.float32))
    model = make_model([helper.make_node("Add", ["a", "b"], ["y"])], {"a": ["N", 4], "b": ["N", 4]}, ["y"])
    with pytest.raises(CalibrationError, match="the model has 2 inputs"):
        edgeml.convert(model, calibration=tmp_path)
