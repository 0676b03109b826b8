# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgeml import onnx_backend
from edgeml.errors import InputError, UnsupportedOperatorError
from support import onnx_suite


def test_what_has_passed_passes() -> None:
    """Every case of tests/golden/onnx_passed.txt that this version of the onnx package has."""
    passed = onnx_suite.passed_before()
    assert len(passed) > 1500
    met, failed = 0, {}
    for case in onnx_suite.cases():
        if (case.kind, case.name) in passed:
            met += 1
            if (why := onnx_suite.failure(case)) is not None:
                failed[case.name] = why
    assert not failed
    assert met > 900


def test_at_least_900_cases_of_the_edge_scope_are_in_the_list() -> None:
    passed = onnx_suite.passed_before()
    inside = [c for c in onnx_suite.cases() if c.kind == "node" and onnx_suite.out_of_scope(c) is None]
    assert sum((c.kind, c.name) in passed for c in inside) >= 900


def model(
    nodes: list[onnx.NodeProto], inputs: dict[str, tuple[int, list[object]]], outputs: list[str]
) -> onnx.ModelProto:
    protos = [helper.make_tensor_value_info(name, kind, shape) for name, (kind, shape) in inputs.items()]
    graph = helper.make_graph(nodes, "g", protos, [helper.make_empty_tensor_value_info(n) for n in outputs])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])


def test_one_prepared_model_takes_several_shapes_and_bound_values() -> None:
    inputs = {"x": (TensorProto.FLOAT, ["n"]), "shape": (TensorProto.INT64, ["r"])}
    prepared = onnx_backend.prepare(model([helper.make_node("Reshape", ["x", "shape"], ["y"])], inputs, ["y"]))
    for wanted in ((2, 3), (3, 2), (2, 3), (1, 4, 2)):
        x = np.arange(np.prod(wanted), dtype=np.float32)
        (y,) = prepared.run([x, np.array(wanted)])
        assert np.array_equal(y, x.reshape(wanted))


def test_an_index_outside_its_tensor_is_an_error_and_the_model_runs_on() -> None:
    inputs = {"x": (TensorProto.FLOAT, [3]), "i": (TensorProto.INT64, [2])}
    for op in ("Gather", "GatherElements"):
        prepared = onnx_backend.prepare(model([helper.make_node(op, ["x", "i"], ["y"])], inputs, ["y"]))
        x = np.array([1, 2, 3], np.float32)
        assert prepared.run([x, np.array([-3, 2])])[0].tolist() == [1, 3]
        for bad in (3, -4, 2**40):
            with pytest.raises(InputError, match="outside its tensor"):
                prepared.run([x, np.array([0, bad])])
        assert prepared.run([x, np.array([1, -1])])[0].tolist() == [2, 3]


def test_outputs_whose_size_depends_on_data_are_cut_to_it() -> None:
    inputs = {"x": (TensorProto.FLOAT, [2, 3])}
    prepared = onnx_backend.prepare(model([helper.make_node("NonZero", ["x"], ["y"])], inputs, ["y"]))
    for x in (np.array([[0, 1, 0], [2, 0, 3]], np.float32), np.zeros((2, 3), np.float32), np.ones((2, 3), np.float32)):
        assert np.array_equal(prepared.run([x])[0], np.array(np.nonzero(x)))


def test_a_loop_is_unrolled() -> None:
    body = helper.make_graph(
        [helper.make_node("Identity", ["c"], ["d"]), helper.make_node("Add", ["v", "v"], ["w"])],
        "body",
        [helper.make_tensor_value_info(n, t, []) for n, t in (("i", 7), ("c", 9), ("v", 1))],
        [helper.make_tensor_value_info(n, t, []) for n, t in (("d", 9), ("w", 1))],
    )
    loop = helper.make_node("Loop", ["m", "", "x"], ["y"], body=body)
    proto = model([loop], {"x": (TensorProto.FLOAT, [])}, ["y"])
    proto.graph.initializer.append(numpy_helper.from_array(np.array(5), "m"))
    assert onnx_backend.run_model(proto, [np.array(3, np.float32)])[0] == 96


def test_run_node_and_devices() -> None:
    node = helper.make_node("Softplus", ["x"], ["y"])
    (y,) = onnx_backend.run_node(node, [np.array([-100, 0, 100], np.float32)])
    assert y.tolist() == [np.float32(np.exp(-100.0)), np.float32(np.log(2.0)), 100]
    assert onnx_backend.supports_device("CPU")
    assert not onnx_backend.supports_device("CUDA")


def test_an_operator_without_a_plain_form_is_named() -> None:
    node = helper.make_node("RandomNormalLike", ["x"], ["y"], name="noise")
    prepared = onnx_backend.prepare(model([node], {"x": (TensorProto.FLOAT, [2])}, ["y"]))
    with pytest.raises(UnsupportedOperatorError, match=r"RandomNormalLike.*noise"):
        prepared.run([np.zeros(2, np.float32)])
