# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import contextlib
import dataclasses

import numpy as np
import pytest

from edgeml.artifact import format as fmt
from edgeml.artifact.model import Content
from edgeml.artifact.operators import OPERATORS, PLAIN_CODE_MIN
from edgeml.artifact.reader import read
from edgeml.artifact.writer import write
from edgeml.errors import ArtifactError, InputError
from edgeml.session import InferenceSession
from support.plain_artifact import every_plain_operator

SOUND = every_plain_operator()


def takes(reader: type[InferenceSession] | object, data: bytes) -> bool:
    try:
        reader(data)  # type: ignore[operator]
    except ArtifactError:
        return False
    return True


def test_the_artifact_has_every_plain_operator() -> None:
    assert {node.op for node in SOUND.graph.nodes} == {row.name for row in OPERATORS if row.code >= PLAIN_CODE_MIN}
    assert takes(InferenceSession, write(SOUND))


def changed(node: int, at: int, value: int) -> Content:
    nodes = list(SOUND.graph.nodes)
    attributes = list(nodes[node].attributes)
    attributes[at] = value
    nodes[node] = dataclasses.replace(nodes[node], attributes=tuple(attributes))
    return dataclasses.replace(SOUND, graph=dataclasses.replace(SOUND.graph, nodes=tuple(nodes)))


def test_readers_agree_on_every_changed_attribute_and_what_opens_runs() -> None:
    """No attribute makes a kernel leave its buffers: it is refused, by both readers, or the artifact runs."""
    x = np.linspace(-2, 2, 24, dtype=np.float32).reshape(2, 3, 4)
    refused = ran = 0
    for i, node in enumerate(SOUND.graph.nodes):
        for at in range(len(node.attributes)):
            for value in (-(2**31), -1, 0, 1, 2, 5, 25, 2**31 - 1):
                data = write(changed(i, at, value))
                opens = takes(InferenceSession, data)
                assert takes(read, data) == opens, (node.op, at, value)
                refused += not opens
                if opens:
                    ran += 1
                    with contextlib.suppress(InputError):
                        InferenceSession(data).run(None, {"x": x, "i": np.array([0, -1])})
    assert refused > 300
    assert ran > 50


def test_readers_agree_on_changed_dims_and_dtypes() -> None:
    refused = 0
    for i, tensor in enumerate(SOUND.graph.tensors):
        variants = [dataclasses.replace(tensor, dtype=dtype) for dtype in fmt.DTYPES.values()]
        variants += [
            dataclasses.replace(tensor, dims=(*tensor.dims[:axis], size, *tensor.dims[axis + 1 :]))
            for axis in range(len(tensor.dims))
            for size in (1, 5, 2**31 - 1)
        ]
        for variant in variants if tensor.data is None else []:
            tensors = (*SOUND.graph.tensors[:i], variant, *SOUND.graph.tensors[i + 1 :])
            data = write(dataclasses.replace(SOUND, graph=dataclasses.replace(SOUND.graph, tensors=tensors)))
            assert takes(read, data) == takes(InferenceSession, data), (tensor.name, variant.dtype, variant.dims)
            refused += not takes(read, data)
    assert refused > 200


@pytest.mark.parametrize("index", [6, -7, 2**62])
def test_an_index_outside_its_tensor_is_an_error_of_the_run(index: int) -> None:
    session = InferenceSession(write(SOUND))
    x = np.ones((2, 3, 4), np.float32)
    with pytest.raises(InputError, match="outside its tensor"):
        session.run(None, {"x": x, "i": np.array([0, index])})
    assert len(session.run(None, {"x": x, "i": np.array([5, -6])})) == 7
