# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from checks import cpp_layers
from support.fake_tree import use_tree


@pytest.mark.parametrize(
    ("path", "include"),
    [
        ("cpp/src/base/span.h", "cpu/cpu_features.h"),
        ("cpp/src/kernels/x/x.h", "model/model.h"),
        ("cpp/src/model/model.h", "kernels/kernel_table.h"),
        ("cpp/src/noise/laplace.cpp", "observe/bins.h"),
        ("cpp/src/plan/plan.cpp", "runtime/session.h"),
    ],
)
def test_include_against_the_order_is_named(monkeypatch: pytest.MonkeyPatch, path: str, include: str) -> None:
    use_tree(monkeypatch, cpp_layers, {path: f'#include <vector>\n#include "{include}"\n'})
    (complaint,) = cpp_layers.cpp_layers(fix=False)
    assert complaint.startswith(f"{path}: ")
    assert f"may not include {include.split('/', maxsplit=1)[0]}/" in complaint


def test_includes_in_order_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    tree = {
        "cpp/src/ops/conv2d.cpp": '#include "base/result.h"\n#include "kernels/rows.h"\n#include "model/model.h"\n',
        "cpp/src/runtime/session.h": '#include "edgeml/error.h"\n#include "plan/plan.h"\n#include "runtime/pool.h"\n',
    }
    use_tree(monkeypatch, cpp_layers, tree)
    assert cpp_layers.cpp_layers(fix=False) == []


def test_folder_of_no_layer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    use_tree(monkeypatch, cpp_layers, {"cpp/src/misc/thing.h": ""})
    assert "misc" in cpp_layers.cpp_layers(fix=False)[0]
