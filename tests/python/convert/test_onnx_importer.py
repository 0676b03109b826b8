# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgeml.convert.onnx_importer import import_onnx
from edgeml.convert.ops import check_supported
from edgeml.convert.passes import run_passes
from edgeml.errors import ConversionError, ModelFormatError, UnsupportedOperatorError
from support.onnx_models import make_model, small_network

NODE = helper.make_node
IMAGE = {"x": ["N", 3, 8, 8]}


def full_import(model: onnx.ModelProto) -> None:
    check_supported(run_passes(import_onnx(model).graph))


def test_path_bytes_and_proto_give_the_same_graph(tmp_path: Path) -> None:
    model = small_network()
    path = tmp_path / "net.onnx"
    path.write_bytes(model.SerializeToString(deterministic=True))
    graphs = [import_onnx(source) for source in (path, str(path), path.read_bytes(), model)]
    assert len({imported.source_sha256 for imported in graphs}) == 1
    assert graphs[0].name == "net"
    assert all(imported.graph.nodes == graphs[0].graph.nodes for imported in graphs)


def test_importing_leaves_the_callers_proto_alone() -> None:
    model = small_network()
    before = model.SerializeToString(deterministic=True)
    import_onnx(model)
    assert model.SerializeToString(deterministic=True) == before


@pytest.mark.parametrize("batch", ["N", 1, 4])
def test_batch_is_kept(batch: int | str) -> None:
    graph = import_onnx(small_network(batch=batch)).graph
    assert graph.batch == (0 if batch == "N" else batch)
    assert graph.tensors["output"].shape == (graph.batch, 5)


def test_not_an_onnx_file(tmp_path: Path) -> None:
    path = tmp_path / "text.onnx"
    for content in (b"", b"hello, this is no model at all", bytes(1000), b"\x08\x08"):
        path.write_bytes(content)
        with pytest.raises(ModelFormatError, match=r"text\.onnx|ONNX"):
            import_onnx(path)
    with pytest.raises(ModelFormatError, match=r"gone\.onnx"):
        import_onnx(tmp_path / "gone.onnx")
    with pytest.raises(ModelFormatError, match="cannot read"):
        import_onnx(tmp_path)


def test_every_truncation_is_an_error() -> None:
    data = small_network().SerializeToString()
    for size in range(0, len(data), 7):
        with pytest.raises(ConversionError):
            import_onnx(data[:size])


def test_names_that_are_not_utf8() -> None:
    data = small_network().SerializeToString()
    with pytest.raises(ModelFormatError, match="UTF-8"):
        import_onnx(data.replace(b"residual", b"\xffesidual"))


def test_random_damage_never_escapes(rng: np.random.Generator) -> None:
    data = small_network().SerializeToString()
    refused = 0
    for _ in range(300):
        broken = bytearray(data)
        for at in rng.integers(0, len(data), 4):
            broken[at] = rng.integers(256)
        try:
            check_supported(run_passes(import_onnx(bytes(broken)).graph))
        except ConversionError:
            refused += 1
    assert refused > 50


@pytest.mark.parametrize(
    ("nodes", "sentence"),
    [
        ([NODE("Frobnicate", ["x"], ["y"], name="my_node")], r"Frobnicate \(opset 13, node 'my_node'\)"),
        (
            [NODE("Gelu", ["x"], ["y"], name="g", domain="com.microsoft")],
            r"com\.microsoft\.Gelu \(opset 13, node 'g'\)",
        ),
        ([NODE("Sin", ["x"], ["y"], name="wave")], r"Sin \(opset 13, node 'wave'\).*cut the model"),
        ([NODE("Sin", ["x"], ["y"])], r"Sin \(opset 13, node 'Sin_0'\)"),
        ([NODE("NonZero", ["x"], ["i"]), NODE("Cast", ["i"], ["y"], to=1)], r"NonZero \(opset 13.*depends on data"),
        ([NODE("Transpose", ["x"], ["y"], perm=[1, 0, 2, 3])], "Transpose.*moves the free batch"),
        ([NODE("Cast", ["x"], ["i"], to=TensorProto.INT32), NODE("Cast", ["i"], ["y"], to=1)], "Cast"),
        ([NODE("MaxPool", ["x"], ["y", "i"], kernel_shape=[2, 2])], "indices"),
        ([NODE("AveragePool", ["x"], ["y"], kernel_shape=[2, 2], ceil_mode=1, count_include_pad=1)], "counts pads"),
        ([NODE("Softmax", ["x"], ["y"], axis=2)], "inner axis"),
        (
            [
                NODE("ReduceMean", ["x"], ["r"], axes=[2, 3], keepdims=1),
                NODE("MaxPool", ["x"], ["m"], kernel_shape=[8, 1]),
                NODE("Add", ["r", "m"], ["a"]),
                NODE("MaxPool", ["x"], ["n"], kernel_shape=[1, 8]),
                NODE("Add", ["m", "n"], ["y"]),
            ],
            "broadcasts",
        ),
        ([NODE("ReduceMean", ["x"], ["y"], axes=[1])], "averages other axes"),
    ],
)
def test_unsupported_operators_are_named(nodes: list[onnx.NodeProto], sentence: str) -> None:
    with pytest.raises(UnsupportedOperatorError, match=sentence):
        full_import(make_model(nodes, IMAGE, ["y"]))


@pytest.mark.parametrize("opset", [6, 99])
def test_opsets_out_of_range(opset: int) -> None:
    with pytest.raises(ConversionError, match=f"opset {opset}"):
        import_onnx(make_model([NODE("Relu", ["x"], ["y"])], IMAGE, ["y"], opset=opset))


def test_message_names_the_opset_of_the_source() -> None:
    model = make_model([NODE("Sin", ["x"], ["y"], name="wave")], IMAGE, ["y"], opset=9)
    with pytest.raises(UnsupportedOperatorError, match=r"opset 9, node 'wave'"):
        full_import(model)


@pytest.mark.parametrize(
    ("shape", "sentence"),
    [(["N", 3, "H", 8], "'H' at axis 2"), ([], "no shape or is a scalar"), (["N", 3, None, 8], "axis 2")],
)
def test_free_dimensions(shape: list[int | str], sentence: str) -> None:
    with pytest.raises(ConversionError, match=sentence):
        import_onnx(make_model([NODE("Relu", ["x"], ["y"])], {"x": shape}, ["y"]))


def test_input_types_are_named() -> None:
    model = make_model([NODE("Cast", ["x"], ["y"], to=1)], IMAGE, ["y"])
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.UINT8
    with pytest.raises(ConversionError, match="UINT8"):
        import_onnx(model)


def test_batch_that_moves_is_refused() -> None:
    constants = {"t": np.array([-1, 8], np.int64)}
    with pytest.raises(ConversionError, match="batch"):
        full_import(make_model([NODE("Reshape", ["x", "t"], ["y"])], IMAGE, ["y"], constants))


def test_one_free_and_one_fixed_batch() -> None:
    model = make_model([NODE("Add", ["a", "b"], ["y"])], {"a": ["N", 4], "b": [2, 4]}, ["y"])
    with pytest.raises(ConversionError, match="some inputs have a free batch"):
        import_onnx(model)


@pytest.mark.parametrize("opset", range(7, onnx.defs.onnx_opset_version() + 1))
def test_every_opset_gives_the_same_layers(opset: int) -> None:
    """Clip, Pad, Slice, Squeeze changed from attributes to inputs on the way; the artifact does not care."""
    constants = {"w": np.ones((4, 3, 3, 3), np.float32)}
    nodes = [NODE("Conv", ["x", "w"], ["c"])]
    attributes = {"min": 0.0, "max": 6.0}
    if opset < 11:
        nodes.append(NODE("Clip", ["c"], ["r"], **attributes))
    else:
        nodes.append(NODE("Clip", ["c", "low", "high"], ["r"]))
        constants |= {"low": np.array(0, np.float32), "high": np.array(6, np.float32)}
    nodes.append(NODE("GlobalAveragePool", ["r"], ["g"]))
    if opset < 13:
        nodes.append(NODE("Squeeze", ["g"], ["s"], axes=[2, 3]))
    else:
        nodes.append(NODE("Squeeze", ["g", "axes"], ["s"]))
        constants["axes"] = np.array([2, 3], np.int64)
    nodes.append(NODE("Softmax", ["s"], ["y"], axis=1))
    model = make_model(nodes, IMAGE, ["y"], constants, opset=opset)
    imported = import_onnx(model)
    graph = run_passes(imported.graph)
    assert imported.opset == opset
    assert [node.op for node in graph.nodes] == ["Conv", "AveragePool", "Reshape", "Softmax"]
    assert graph.nodes[0].clamp == (0, 6)


def test_local_functions_are_inlined() -> None:
    function = helper.make_function(
        "mine", "Twice", ["a"], ["b"], [NODE("Add", ["a", "a"], ["b"])], [helper.make_opsetid("", 13)]
    )
    model = make_model([NODE("Twice", ["x"], ["y"], domain="mine")], IMAGE, ["y"])
    model.functions.append(function)
    model.opset_import.append(helper.make_opsetid("mine", 1))
    assert [node.op for node in import_onnx(model).graph.nodes] == ["Add"]


def external_model(folder: Path, location: str) -> Path:
    model = small_network()
    data = numpy_helper.to_array(model.graph.initializer[0]).tobytes()
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", location
    path = folder / "net.onnx"
    path.write_bytes(model.SerializeToString())
    target = folder / location
    if target.parent.is_dir():
        target.write_bytes(data)
    return path


def test_external_data_in_the_folder_is_read(tmp_path: Path) -> None:
    path = external_model(tmp_path, "weights.bin")
    expected = numpy_helper.to_array(small_network().graph.initializer[0])
    assert np.array_equal(import_onnx(path).graph.tensors["w0"].data, expected)


def make_link(folder: Path) -> str:
    (folder.parent / "secret.bin").write_bytes(bytes(1000))
    (folder / "link.bin").symlink_to(folder.parent / "secret.bin")
    return "link.bin"


@pytest.mark.parametrize("location", [lambda _: "../weights.bin", lambda _: "/etc/hostname", make_link, lambda _: ""])
def test_external_data_outside_the_folder_is_refused(tmp_path: Path, location: Callable[[Path], str]) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    name = location(folder)
    path = external_model(folder, "weights.bin")
    model = onnx.load(path, load_external_data=False)
    model.graph.initializer[0].external_data[0].value = name
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelFormatError, match="folder"):
        import_onnx(path)


def test_external_data_without_a_path_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFormatError, match="give a path"):
        import_onnx(external_model(tmp_path, "weights.bin").read_bytes())
