# SPDX-License-Identifier: Apache-2.0
"""The hand-written layers of the demo's network: their gradients, and their equality with the ONNX they become."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="needs edgeml[demo]")
onnxruntime = pytest.importorskip("onnxruntime", reason="needs edgeml[demo]")

from threadpoolctl import threadpool_limits  # noqa: E402 - comes with scikit-learn

from edgeml.demo import network as tool  # noqa: E402


def test_gradients_equal_differences_of_the_loss(rng: np.random.Generator) -> None:
    network = tool.build(rng)
    for layer in network:  # float64: a step too small to cross a kink of a ReLU still has digits
        layer.weights[:] = [w + rng.normal(scale=0.05, size=w.shape) for w in layer.weights]  # no bias of exactly 0
    x = rng.uniform(size=(5, 8, 8, 1))
    y = rng.integers(0, 10, 5)
    target = np.full((5, 10), tool.LABEL_SMOOTHING / 10)
    target[np.arange(5), y] += 1 - tool.LABEL_SMOOTHING

    def loss() -> float:
        logits = tool.predict(network, x)
        log_sum = np.log(np.exp(logits - logits.max(axis=1, keepdims=True)).sum(axis=1)) + logits.max(axis=1)
        return float((target * (log_sum[:, None] - logits)).sum(axis=1).mean())

    dy = tool.loss_gradient(tool.predict(network, x), y)
    for layer in reversed(network):
        dy = layer.backward(dy)
    for layer in network:
        for weights, gradients in zip(layer.weights, layer.gradients, strict=True):
            for place in rng.integers(0, weights.size, 4):
                before = weights.flat[place]
                weights.flat[place] = before + 1e-7
                above = loss()
                weights.flat[place] = before - 1e-7
                below = loss()
                weights.flat[place] = before
                assert gradients.flat[place] == pytest.approx((above - below) / 2e-7, rel=1e-3, abs=1e-6)


def test_onnx_computes_what_was_trained(rng: np.random.Generator) -> None:
    network = tool.build(rng)
    for layer in network:
        for weights in layer.weights:
            weights[...] += rng.normal(scale=0.05, size=weights.shape).astype(np.float32)
    model = tool.to_onnx(network).SerializeToString()
    x = rng.uniform(size=(7, 1, 8, 8)).astype(np.float32)
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    probability = session.run(None, {"image": x})[0]
    logits = tool.predict(network, x.transpose(0, 2, 3, 1))
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(probability, expected, atol=1e-5)


def test_training_is_reproducible_and_learns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tool, "AVERAGE_DECAY", 0.9)  # three epochs are too few for the slow average
    train = tool.digits.load("train")

    def trained() -> list[tool.Layer]:
        generator = np.random.default_rng(7)
        network = tool.build(generator)
        tool.train(network, train, generator, epochs=3)
        return network

    with threadpool_limits(1):
        first, second = trained(), trained()
        assert tool.accuracy(first, tool.digits.load("calibration")) > 0.5
    assert tool.to_onnx(first).SerializeToString() == tool.to_onnx(second).SerializeToString()


def test_a_model_reads_back(rng: np.random.Generator) -> None:
    network = tool.build(rng)
    model = tool.to_onnx(network)
    assert tool.to_onnx(tool.load(model)).SerializeToString() == model.SerializeToString()
