# SPDX-License-Identifier: Apache-2.0
"""What propagation computes node by node is what the finished graph computes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from convert.test_converter import data_of, model_of
from edgeml.artifact import Artifact
from edgeml.artifact.model import Content
from edgeml.convert import propagation, quantization
from edgeml.convert.calibration import CalibrationData, calibrate
from edgeml.convert.encoding import encode
from edgeml.convert.layer_hessian import moments_of
from edgeml.convert.onnx_importer import import_onnx
from edgeml.convert.options import ConvertOptions
from edgeml.convert.passes import run_passes
from edgeml.convert.patches import layer_shape, patches
from edgeml.convert.quantizer import Quantizer
from edgeml.ir import Node
from edgeml.session import InferenceSession

CASES = ("conv", "depthwise", "attention", "relu6")


@pytest.mark.parametrize("name", CASES)
def test_layers_see_what_the_artifact_computes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = run_passes(import_onnx(model_of(name)).graph)
    data = CalibrationData(data_of(name), graph)
    seen: dict[str, Any] = {}

    class Recording(propagation.Propagation):
        def __init__(self, quantizer: Quantizer, source: CalibrationData) -> None:
            super().__init__(quantizer, source)
            self.moments_of = self.moments

        def moments(self, node: Node) -> Any:
            seen[node.name] = super().moments(node)
            return seen[node.name]

    monkeypatch.setattr(quantization, "Propagation", Recording)
    quantized = quantization.quantize(graph, calibrate(graph, data), data, ConvertOptions())
    assert seen
    for node in graph.nodes:
        if node.name not in seen:
            continue
        source = node.inputs[0]
        layer, shape = layer_shape(node, graph), graph.tensors[node.output].shape
        tensor = quantized.tensors[f"{source}/s8" if source in graph.inputs else source]
        encoded = encode(quantized)
        index = list(quantized.tensors).index(tensor.name)
        exposed = Artifact.build(
            Content(type(encoded)(encoded.tensors, encoded.nodes, encoded.inputs, (index,)), {}, None)
        )
        (q,) = InferenceSession(exposed.to_bytes()).run(None, data.arrays())
        assert tensor.quant is not None
        expected = moments_of(patches(q, layer, shape, tensor.quant.zero_point), tensor.quant.zero_point)
        assert np.array_equal(seen[node.name].gram, expected.gram)
        assert np.array_equal(seen[node.name].mean, expected.mean)


def test_as_many_samples_as_fit_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = run_passes(import_onnx(model_of(CASES[0])).graph)
    readers = {name: node for node in graph.nodes for name in node.inputs if graph.constant(name) is None}
    monkeypatch.setattr(propagation, "LIVE_BYTES_MAX", 0)
    few = propagation._samples(graph, readers, 100)
    assert few.tolist() == [i * 100 // propagation.SAMPLES_MIN for i in range(propagation.SAMPLES_MIN)]
    monkeypatch.setattr(propagation, "LIVE_BYTES_MAX", 2**40)
    assert propagation._samples(graph, readers, 100).tolist() == list(range(100))
