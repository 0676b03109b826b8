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


def convert(folder: Path, report: Path, *options: str) -> int:
    paths = [str(folder / "net.onnx"), "-o", str(folder / "net.edgeml"), "--calibration", str(folder / "data.npz")]
    return main(["convert", *paths, "--report", str(report), *options])


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


def test_a_pruned_model_has_its_curve_and_the_density_of_every_layer(folder: Path) -> None:
    assert convert(folder, folder / "report.html", "--sparsity", "0.5", "--block-rows", "1") == 0
    text = (folder / "report.html").read_text(encoding="utf-8")
    section = text[text.index("<h2>Pruning</h2>") :]
    picture = ET.fromstring(section[section.index("<svg") : section.index("</svg>") + len("</svg>")])  # noqa: S314
    assert len(picture.findall("circle")) > 10
    table = section[section.index("<table>") : section.index("</table>") + len("</table>")]
    rows = ET.fromstring(table).findall("tr")[1:]  # noqa: S314
    weights, kept = (sum(int(row[i].text.replace(",", "")) for row in rows) for i in (1, 2))
    assert weights == 8 * 8 + 5 * 8
    assert kept <= 0.5 * weights


def test_a_report_that_cannot_be_written_is_one_sentence(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert convert(folder, folder / "missing" / "report.html") == 2
    captured = capsys.readouterr()
    assert "report.html" in captured.err
    assert captured.err.count("\n") == 1
    assert not (folder / "net.edgeml").exists()
