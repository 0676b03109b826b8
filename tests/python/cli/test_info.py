# SPDX-License-Identifier: Apache-2.0
"""The verb info through `main`."""

from __future__ import annotations

import json

import pytest

from edgeml import _core
from edgeml.cli.main import main


def test_info_lists_levels_and_kernels(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["isas"] == list(_core.ISAS)
    assert set(report["kernels"]) == {family for family, _, _ in _core.KERNELS}
    assert main(["info", "--isa", "ref"]) == 0
    assert "qs8_gemm_1x4c4_ref" in capsys.readouterr().out
    assert main(["info", "--isa", "mmx"]) == 2
