# SPDX-License-Identifier: Apache-2.0
"""The SVG of a graph: every node and edge once, no two boxes over each other, names escaped."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

import edgeml.convert
from edgeml.artifact import Artifact
from edgeml.cli.graph_picture import BOX_HEIGHT, BOX_WIDTH, graph_picture
from edgeml.cli.main import main
from support.onnx_models import small_data, small_network
from support.small_artifact import every_operator

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def artifact() -> Artifact:
    return edgeml.convert(small_network(), calibration=small_data())


def boxes(svg: ET.Element) -> list[tuple[float, float]]:
    return [
        (float(rect.get("x", "nan")), float(rect.get("y", "nan"))) for rect in svg.iter(f"{SVG}rect") if rect.get("x")
    ]


@pytest.mark.parametrize("kind", ["network", "every operator"])
def test_every_node_and_edge_is_drawn(artifact: Artifact, kind: str) -> None:
    graph = artifact.graph if kind == "network" else every_operator().graph
    svg = ET.fromstring(graph_picture(graph, "net"))  # noqa: S314 (our own text)
    places = boxes(svg)
    assert len(places) == len(graph.nodes) + len(graph.inputs) + len(graph.outputs)
    made = {*graph.inputs, *(node.outputs[0] for node in graph.nodes)}
    edges = sum(len({i for i in node.inputs if i in made}) for node in graph.nodes) + len(graph.outputs)
    assert len(list(svg.iter(f"{SVG}path"))) == edges
    width, height = float(svg.get("width", 0)), float(svg.get("height", 0))
    for at, (x, y) in enumerate(places):
        assert 0 <= x <= width - BOX_WIDTH
        assert 0 <= y <= height - BOX_HEIGHT
        assert not any(abs(x - x2) < BOX_WIDTH and abs(y - y2) < BOX_HEIGHT for x2, y2 in places[:at])


def test_inspect_writes_it_and_names_are_escaped(tmp_path: Path) -> None:
    path, picture = tmp_path / "a.edgeml", tmp_path / "graph.svg"
    model = small_network()
    model.graph.node[0].name = '<script>&"'
    edgeml.convert(model, calibration=small_data()).save(path)
    assert main(["inspect", str(path), "--svg", str(picture)]) == 0
    text = picture.read_text(encoding="utf-8")
    assert "<script>" not in text
    assert "&lt;script&gt;&amp;" in text
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text)
    assert main(["inspect", str(path), "--svg", str(tmp_path / "none" / "graph.svg")]) == 2
