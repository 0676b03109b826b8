# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import platform
import subprocess
from pathlib import Path

import pytest

from checks import symbols, tables
from support.needs import need_program

KERNEL = """
namespace edgeml::kernels {{
{before}
void s8_sum_{isa}(float* x) noexcept {{ {body} }}
}}
"""
pytestmark = [
    pytest.mark.needs_program("g++"),
    pytest.mark.needs_program("objdump"),
    pytest.mark.skipif(platform.machine() != "x86_64", reason="compiles for x86-64"),
]


def complaints(
    monkeypatch: pytest.MonkeyPatch,
    folder: Path,
    *flags: str,
    isa: str = "avx2",
    body: str = "*x = 1;",
    before: str = "",
) -> list[str]:
    """What the check says of a build folder whose only object is one kernel of a level, compiled with these flags."""
    row = tables.KernelRow(family="s8_sum", isa=isa, symbol=f"s8_sum_{isa}")
    monkeypatch.setattr(symbols, "kernel_rows", lambda: [row])
    source = folder / "kernel.cpp"
    source.write_text(KERNEL.format(isa=isa, body=body, before=before))
    monkeypatch.setattr(symbols, "REPOSITORY", folder)
    (folder / row.path).parent.mkdir(parents=True)
    (folder / row.path).touch()
    object_file = folder / "CMakeFiles/edgeml_core.dir" / f"{row.path}.o"
    object_file.parent.mkdir(parents=True)
    subprocess.run([need_program("g++"), "-O2", *flags, "-c", source, "-o", object_file], check=True)
    return symbols.check_build("x86_64", folder, "")


def test_kernel_within_its_level_passes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    body = "for (int i = 0; i < 16; ++i) x[i] += 1;"
    assert complaints(monkeypatch, tmp_path, "-O3", "-mavx2", body=body) == []


def test_inline_function_that_the_linker_could_keep_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    before = "__attribute__((noinline)) inline float twice(float v) { return v + v; }"
    (complaint,) = complaints(monkeypatch, tmp_path, "-mavx2", before=before, body="*x = twice(*x);")
    assert "edgeml::kernels::twice" in complaint


def test_second_exported_function_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (complaint,) = complaints(monkeypatch, tmp_path, before="void other() {}")
    assert "edgeml::kernels::other" in complaint


@pytest.mark.parametrize(
    ("isa", "flags"),
    [
        ("avx2", ["-mavx512f", "-mprefer-vector-width=512"]),
        ("avx2", ["-mavx512vl"]),
        ("avxvnni", ["-mavx512vl"]),
        ("sse41", ["-mavx"]),
        ("ref", ["-mavx2"]),
    ],
)
def test_instruction_beyond_the_level_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, isa: str, flags: list[str]
) -> None:
    body = "for (int i = 0; i < 16; ++i) x[i] = x[i] > 2 ? x[i] + 1 : x[i];"
    (complaint,) = complaints(monkeypatch, tmp_path, "-O3", *flags, isa=isa, body=body)
    assert f"beyond {isa}" in complaint


def test_evex_form_in_a_vex_level_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    body = 'asm volatile("{evex} vpdpbusd %ymm1, %ymm2, %ymm3");'
    (complaint,) = complaints(monkeypatch, tmp_path, isa="avxvnni", body=body)
    assert "beyond avxvnni" in complaint
    assert "vpdpbusd" in complaint


def test_vex_form_passes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    body = 'asm volatile("{vex} vpdpbusd %ymm1, %ymm2, %ymm3");'
    assert complaints(monkeypatch, tmp_path, isa="avxvnni", body=body) == []


def test_empty_build_folder_is_a_complaint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(symbols, "REPOSITORY", tmp_path)
    assert "no objects" in symbols.check_build("x86_64", tmp_path, "")[0]
