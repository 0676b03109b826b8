# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from checks import tables
from support.fake_tree import use_tree

ISAS = "EDGEML_ISA(fast, x86_64, f.fast)\nEDGEML_ISA(ref,  any,    true)\n"
FLAGS = "set(EDGEML_ISA_FLAGS_fast -O3 -mfast)\nset(EDGEML_ISA_FLAGS_ref -O3)\n"
KERNELS = (
    "EDGEML_KERNEL(s8_sum, SumFn, fast, 4, 8, 4, s8_sum_4x8c4_fast)\n"
    "EDGEML_KERNEL(s8_sum, SumFn, ref,  0, 0, 0, s8_sum_ref)\n"
)
OPERATORS = 'EDGEML_OP(1, sum, 1, 1, 0, "Sum", own_range)\n'


def tree() -> dict[str, str]:
    """A complete tree."""
    return {
        tables.ISAS: ISAS,
        tables.FLAGS: FLAGS,
        tables.KERNELS: KERNELS,
        tables.OPERATORS: OPERATORS,
        tables.FORMAT_PAGE: "| code | name |\n|---|---|\n| 1 | sum | x |\n",
        "cpp/src/kernels/s8_sum/s8_sum_4x8c4_fast.cpp": "",
        "cpp/src/kernels/s8_sum/s8_sum_ref.cpp": "",
        "tests/cpp/kernels/s8_sum_test.cpp": "",
        "cpp/src/ops/sum.cpp": "",
    }


def complaints(monkeypatch: pytest.MonkeyPatch, files: dict[str, str]) -> list[str]:
    use_tree(monkeypatch, tables, files)
    return tables.operators(fix=False) + tables.kernels(fix=False) + tables.isas(fix=False)


def test_complete_tables_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    assert complaints(monkeypatch, tree()) == []


@pytest.mark.parametrize(
    "path",
    [
        "cpp/src/kernels/s8_sum/s8_sum_4x8c4_fast.cpp",
        "tests/cpp/kernels/s8_sum_test.cpp",
        "cpp/src/ops/sum.cpp",
    ],
)
def test_path_that_a_row_lacks_is_printed(monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    files = tree()
    del files[path]
    found = complaints(monkeypatch, files)
    assert found
    assert all(f"missing {path}:" in complaint for complaint in found)


def test_kernel_file_without_a_row_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    (complaint,) = complaints(monkeypatch, {**tree(), "cpp/src/kernels/s8_sum/s8_sum_2x8c4_fast.cpp": ""})
    assert complaint.startswith("cpp/src/kernels/s8_sum/s8_sum_2x8c4_fast.cpp")


@pytest.mark.parametrize(
    ("path", "text", "expected"),
    [
        (tables.FLAGS, "set(EDGEML_ISA_FLAGS_ref -O3)\n", "EDGEML_ISA_FLAGS_fast"),
        (tables.FORMAT_PAGE, "| 1 | product | x |\n", "operator 1, sum"),
        (tables.OPERATORS, OPERATORS + OPERATORS.replace("1,", "2,", 1), "name sum is used twice"),
        (tables.KERNELS, KERNELS.splitlines()[0] + "\n", "last row of s8_sum"),
        (tables.KERNELS, KERNELS.replace("SumFn, fast", "SumFn, ref", 1), "not named FAMILY"),
    ],
)
def test_flaw_is_named(monkeypatch: pytest.MonkeyPatch, path: str, text: str, expected: str) -> None:
    found = complaints(monkeypatch, {**tree(), path: text})
    assert any(expected in complaint for complaint in found)
