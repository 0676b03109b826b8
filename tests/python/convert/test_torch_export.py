# SPDX-License-Identifier: Apache-2.0
"""`edgeml.from_torch`. PyTorch is gigabytes from the package index and stays out of the tests' environment: where it is, it is used."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

import edgeml
from edgeml.errors import ConversionError, UsageError
from edgeml.session import InferenceSession

RNG = np.random.default_rng(2)


@pytest.fixture
def torch() -> Any:
    return pytest.importorskip("torch", reason="edgeml[torch] is not installed")


def test_missing_torch_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(UsageError, match=r"pip install 'edgeml\[torch\]'"):
        edgeml.from_torch(object(), ())


def test_network(torch: Any) -> None:
    torch.manual_seed(1)
    network = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3, padding=1),
        torch.nn.BatchNorm2d(8),
        torch.nn.ReLU(),
        torch.nn.MaxPool2d(2),
        torch.nn.Flatten(),
        torch.nn.Linear(8 * 4 * 4, 5),
    )
    network.train()
    x = RNG.normal(size=(40, 3, 8, 8)).astype(np.float32)
    artifact = edgeml.from_torch(network, torch.from_numpy(x[:2]), calibration={"input": x})
    assert network.training
    session = InferenceSession(artifact.to_bytes())
    (given,) = session.get_inputs()
    assert (given.name, given.shape[1:]) == ("input", [3, 8, 8])
    assert isinstance(given.shape[0], str)
    network.eval()
    with torch.no_grad():
        expected = network(torch.from_numpy(x)).numpy()
    (actual,) = session.run(None, {"input": x})
    assert ((actual - expected) ** 2).sum() < 0.003 * (expected**2).sum()
    assert artifact.metadata["float_nodes"] == []


def test_two_inputs_and_a_module_that_cannot_be_exported(torch: Any) -> None:
    class Sum(torch.nn.Module):
        def forward(self, a: Any, b: Any) -> Any:
            return torch.relu(a + 2 * b)

    class Branch(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            return x if float(x.sum()) > 0 else -x

    a, b = (RNG.normal(size=(30, 6)).astype(np.float32) for _ in range(2))
    example = (torch.from_numpy(a[:3]), torch.from_numpy(b[:3]))
    artifact = edgeml.from_torch(Sum(), example, calibration={"left": a, "right": b}, input_names=["left", "right"])
    (actual,) = InferenceSession(artifact.to_bytes()).run(None, {"left": a, "right": b})
    assert np.abs(actual - np.maximum(a + 2 * b, 0)).max() < 0.1
    with pytest.raises(ConversionError, match="torch cannot export the module"):
        edgeml.from_torch(Branch(), (example[0],), calibration={"input": a})
