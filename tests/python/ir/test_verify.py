# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from edgeml.errors import ConversionError
from edgeml.ir import Clamp, Graph, Node, QuantParams, Tensor, verify

F32, S8 = np.dtype(np.float32), np.dtype(np.int8)


def chain() -> Graph:
    """x -> Relu -> a -> Add(a, w) -> y."""
    tensors = [Tensor("x", (0, 4), F32), Tensor("a", (0, 4), F32), Tensor("y", (0, 4), F32)]
    tensors.append(Tensor.constant("w", np.ones(4, np.float32)))
    nodes = (Node("Relu", "relu", ("x",), ("a",)), Node("Add", "add", ("a", "w"), ("y",)))
    return Graph("chain", {tensor.name: tensor for tensor in tensors}, nodes, ("x",), ("y",), 13)


def changed(**tensors: Tensor) -> Graph:
    return dataclasses.replace(chain(), tensors={**chain().tensors, **tensors})


def test_a_good_graph_passes() -> None:
    verify(chain())


@pytest.mark.parametrize(
    ("graph", "sentence"),
    [
        (dataclasses.replace(chain(), nodes=chain().nodes[::-1]), "before it is set"),
        (dataclasses.replace(chain(), nodes=chain().nodes[:1]), "output 'y' is never set"),
        (dataclasses.replace(chain(), nodes=(*chain().nodes, chain().nodes[0])), "set already"),
        (dataclasses.replace(chain(), nodes=(Node("Relu", "r", ("x",), ("gone",)),)), "no tensor"),
        (dataclasses.replace(chain(), nodes=(Node("Relu", "r", ("x",), ()),)), "no output"),
        (dataclasses.replace(chain(), inputs=("w",)), "input 'w'"),
        (dataclasses.replace(chain(), inputs=("x", "x")), "input 'x'"),
        (dataclasses.replace(chain(), inputs=("gone",)), "input 'gone'"),
        (dataclasses.replace(chain(), outputs=("gone",)), "output 'gone'"),
        (changed(a=Tensor("b", (0, 4), F32)), "kept under 'a'"),
        (changed(w=Tensor("w", (5,), F32, np.ones(4, np.float32))), "declared"),
        (changed(w=Tensor("w", (4,), S8, np.ones(4, np.float32))), "declared"),
        (changed(a=Tensor("a", (0, 4), F32, quant=QuantParams(1.0, 0))), "quantized but"),
        (chain().with_nodes([dataclasses.replace(n, clamp=Clamp(1, 0)) for n in chain().nodes]), "bounds"),
    ],
)
def test_broken_graphs_are_named(graph: Graph, sentence: str) -> None:
    with pytest.raises(ConversionError, match=sentence):
        verify(graph)


@pytest.mark.parametrize(
    ("scale", "zero_point"), [(0.0, 0), (-1.0, 0), (1e-45, 0), (0.1, 0), (float("nan"), 0), (1.0, 128), (1.0, -129)]
)
def test_quantization_parameters_check_their_ranges(scale: float, zero_point: int) -> None:
    with pytest.raises(ValueError, match=r"scale|zero point"):
        QuantParams(scale, zero_point)
