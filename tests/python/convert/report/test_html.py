# SPDX-License-Identifier: Apache-2.0
"""`edgeml convert --report`: one page that stands alone, with a row per layer, and names that cannot become markup."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

import edgeml
from edgeml.cli.main import main
from support.onnx_models import small_data, small_network


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    model = small_network()
    model.graph.name = "<script>alert(1)</script>"
    (tmp_path / "net.onnx").write_bytes(model.SerializeToString(deterministic=True))
    np.savez(tmp_path / "data.npz", x=small_data()["input"])
    return tmp_path


def convert(folder: Path, report: Path) -> int:
    paths = [str(folder / "net.onnx"), "-o", str(folder / "net.edgeml"), "--calibration", str(folder / "data.npz")]
    return main(["convert", *paths, "--report", str(report)])


def test_the_page_stands_alone_and_has_every_layer(folder: Path) -> None:
    assert convert(folder, folder / "report.html") == 0
    text = (folder / "report.html").read_text(encoding="utf-8")
    assert "http://" not in text
    assert "https://" not in text
    assert "<script" not in text
    table = text[text.index("<h2>Layers</h2>") :]
    rows = ET.fromstring(table[table.index("<table>") : table.index("</table>") + len("</table>")]).findall("tr")  # noqa: S314
    operators = [row.findall("td")[1].text for row in rows[1:]]
    artifact = edgeml.Artifact.load(folder / "net.edgeml")
    assert operators[:3] == [node.op for node in artifact.graph.nodes][:3]
    assert all(
        float(cell.text or "nan") > 10 for row in rows[1:] for cell in row.findall("td")[2:3] if cell.text != "exact"
    )
    assert artifact.model_id.hex() in text


def test_a_report_that_cannot_be_written_is_one_sentence(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert convert(folder, folder / "missing" / "report.html") == 2
    captured = capsys.readouterr()
    assert "report.html" in captured.err
    assert captured.err.count("\n") == 1
    assert not (folder / "net.edgeml").exists()
