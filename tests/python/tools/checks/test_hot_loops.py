# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import platform
import subprocess
from pathlib import Path

import pytest

from checks import hot_loops
from support.needs import need_program

SOURCE = """
#include <emmintrin.h>
void kernel(const __m128i* x, const __m128i* w, __m128i* out, long n) {{
  __m128i sum = _mm_setzero_si128();
  __m128i kept[4] = {{}};
  for (long i = 0; i < n; ++i) {{
    sum = _mm_add_epi32(sum, _mm_madd_epi16(x[i], w[i]));
    {statement}
  }}
  *out = _mm_add_epi32(sum, kept[0]);
}}
"""
SPILL = 'asm volatile("movaps %%xmm1, %0" : "=m"(kept[0]) : : "memory");'
pytestmark = [
    pytest.mark.needs_program("g++"),
    pytest.mark.needs_program("objdump"),
    pytest.mark.skipif(platform.machine() != "x86_64", reason="compiles for x86-64"),
]


def complaints(folder: Path, source: str) -> list[str]:
    """What the check says of an object made from this source."""
    (folder / "kernel.cpp").write_text(source)
    object_file = folder / "kernel.o"
    subprocess.run([need_program("g++"), "-O2", "-c", folder / "kernel.cpp", "-o", object_file], check=True)
    return hot_loops.check_kernel("x86_64", "objdump", object_file)


def test_loop_in_registers_passes(tmp_path: Path) -> None:
    assert complaints(tmp_path, SOURCE.format(statement="")) == []


def test_planted_spill_is_named(tmp_path: Path) -> None:
    (complaint,) = complaints(tmp_path, SOURCE.format(statement=SPILL))
    assert "kernel" in complaint
    assert "movaps" in complaint


def test_spill_outside_the_loop_passes(tmp_path: Path) -> None:
    source = SOURCE.format(statement="").replace("*out =", SPILL + "\n  *out =")
    assert complaints(tmp_path, source) == []


def test_object_without_a_loop_that_multiplies_is_a_complaint(tmp_path: Path) -> None:
    (complaint,) = complaints(tmp_path, "int nothing() { return 1; }")
    assert "no loop that multiplies" in complaint


def test_accumulators_that_gcc_keeps_in_memory_are_named(tmp_path: Path) -> None:
    source = SOURCE.format(statement="for (auto& k : kept) k = _mm_add_epi32(k, _mm_madd_epi16(x[i], w[i]));").replace(
        "_mm_setzero_si128();", '_mm_setzero_si128(); asm volatile("" : : "r"(&sum));', 1
    )
    source = source.replace("sum = _mm_add_epi32(sum,", 'asm volatile("" : "+m"(sum)); sum = _mm_add_epi32(sum,')
    assert complaints(tmp_path, source)
