# SPDX-License-Identifier: Apache-2.0
"""Channels that leave the graph: which depend on each other, how many stay, and that dead ones go without a trace."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper

import edgeml.convert
from edgeml.artifact import Artifact
from edgeml.convert.artifact_run import run_artifact
from edgeml.convert.float_model import FloatModel
from edgeml.convert.options import ConvertOptions
from edgeml.convert.prune.channels import channels_to_keep
from edgeml.errors import ConversionError, UsageError
from support.onnx_models import make_model

NODE = helper.make_node
RNG = np.random.default_rng(8)


def weights(*shape: int) -> np.ndarray:
    return (RNG.normal(size=shape) * np.sqrt(2 / np.prod(shape[1:]))).astype(np.float32)


CONSTANTS = {
    "w0": weights(8, 3, 3, 3),
    "w1": weights(16, 8, 3, 3),
    "b1": weights(16, 1)[:, 0],
    "wd": weights(16, 1, 3, 3),
}
CONSTANTS |= {"w2": weights(8, 16, 1, 1), "w3": weights(5, 8, 3, 3)}


def network(constants: dict[str, np.ndarray]) -> onnx.ModelProto:
    """An inverted residual: c0 and its sum are tied, c1 and its depthwise twin are free."""
    nodes = [
        NODE("Conv", ["x", "w0"], ["c0"], name="first", pads=[1, 1, 1, 1]),
        NODE("Conv", ["c0", "w1", "b1"], ["c1"], name="expand", pads=[1, 1, 1, 1]),
        NODE("Relu", ["c1"], ["r1"]),
        NODE("Conv", ["r1", "wd"], ["d"], name="depthwise", pads=[1, 1, 1, 1], group=16),
        NODE("Relu", ["d"], ["rd"]),
        NODE("Conv", ["rd", "w2"], ["c2"], name="project"),
        NODE("Add", ["c2", "c0"], ["s"]),
        NODE("Conv", ["s", "w3"], ["y"], name="last"),
    ]
    return make_model(nodes, {"x": ["N", 3, 8, 7]}, ["y"], constants)


def samples(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(40, 3, 8, 7)).astype(np.float32)


def convert(model: onnx.ModelProto, share: float | None) -> Artifact:
    options = ConvertOptions(channel_sparsity=share)
    return edgeml.convert(model, calibration={"x": samples(1)}, options=options)


def channels(artifact: Artifact) -> dict[str, int]:
    graph = artifact.graph
    return {
        n.name: graph.tensors[n.outputs[0]].dims[1]
        for n in graph.nodes
        if n.name in ("first", "expand", "depthwise", "project")
    }


def test_only_free_channels_go_and_depthwise_follows() -> None:
    assert channels(convert(network(CONSTANTS), 0.4)) == {"first": 8, "expand": 12, "depthwise": 12, "project": 8}


def test_dead_channels_go_and_nothing_changes() -> None:
    constants = dict(CONSTANTS)
    constants["w2"] = CONSTANTS["w2"].copy()
    constants["w2"][:, [1, 4, 9, 13]] = 0
    model, x = network(constants), samples(2)
    expected = FloatModel(model.SerializeToString()).run({"x": x})["y"]
    artifact = convert(model, 0.25)
    assert channels(artifact)["expand"] == 12
    dense, fewer = (run_artifact(a, {"x": x})["y"] for a in (convert(model, None), artifact))
    assert ((fewer - expected) ** 2).sum() < 1.2 * ((dense - expected) ** 2).sum()


def test_the_consumer_makes_up_for_channels() -> None:
    """Channels that are copies of others carry nothing: their readers take over."""
    constants = dict(CONSTANTS)
    for name in ("w1", "b1", "wd"):
        constants[name] = CONSTANTS[name].copy()
        constants[name][[1, 5, 9, 13]] = constants[name][[0, 4, 8, 12]]
    model, x = network(constants), samples(3)
    expected = FloatModel(model.SerializeToString()).run({"x": x})["y"]
    actual = run_artifact(convert(model, 0.25), {"x": x})["y"]
    assert ((actual - expected) ** 2).sum() < 0.01 * (expected**2).sum()


@pytest.mark.parametrize(
    ("before", "share", "after"), [(16, 0.4, 12), (16, 0.9, 4), (64, 0.5, 32), (100, 0.3, 80), (4, 0.5, 4)]
)
def test_what_stays_is_whole_words_or_vectors(before: int, share: float, after: int) -> None:
    assert channels_to_keep(before, share) == after


def test_a_model_whose_channels_are_tied_says_so() -> None:
    model = make_model([NODE("Conv", ["x", "w0"], ["y"])], {"x": ["N", 3, 8, 7]}, ["y"], {"w0": CONSTANTS["w0"]})
    with pytest.raises(ConversionError, match="no channels of the model can be removed"):
        convert(model, 0.5)
    with pytest.raises(UsageError, match="channel sparsity"):
        ConvertOptions(channel_sparsity=1.0)
