# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import dataclasses

import pytest

from checks import arm_cycles
from support.needs import need_program

READING = arm_cycles.Reading(
    kernel="qs8_gemm_12x8c4_neondot", loop="tile<3>", core="neoverse-n1", macs=384, cycles=12.05, peak=32.0
)


def table(*readings: arm_cycles.Reading) -> str:
    return "\n".join(["some text", arm_cycles.HEAD, "|---|", *(reading.line() for reading in readings)])


def test_same_cycles_pass() -> None:
    assert arm_cycles.complaints_about([READING], table(READING)) == []


def test_faster_loop_passes() -> None:
    assert arm_cycles.complaints_about([dataclasses.replace(READING, cycles=11.0)], table(READING)) == []


def test_slower_loop_is_named() -> None:
    slower = dataclasses.replace(READING, cycles=13.0)
    (complaint,) = arm_cycles.complaints_about([slower], table(READING))
    assert "tile<3>, neoverse-n1: 8 % more cycles" in complaint


def test_fewer_multiplies_in_the_same_cycles_are_slower() -> None:
    smaller = dataclasses.replace(READING, macs=256)
    assert len(arm_cycles.complaints_about([smaller], table(READING))) == 1


def test_loop_that_the_table_lacks_and_one_that_is_gone_are_named() -> None:
    other = dataclasses.replace(READING, loop="tile<2>")
    missing, gone = arm_cycles.complaints_about([other], table(READING))
    assert "tile<2>" in missing
    assert "tile<3>" in gone


def test_committed_table_has_rows_of_every_level_and_core() -> None:
    keys = arm_cycles.recorded((arm_cycles.REPOSITORY / arm_cycles.TABLE).read_text(encoding="utf-8"))
    for level, cores in arm_cycles.CORES.items():
        for core in cores:
            assert any(kernel.endswith(f"_{level}") and at == core for kernel, _, at in keys)


@pytest.mark.needs_program("llvm-mca-19")
def test_cycles_of_a_dependent_chain_are_its_latency() -> None:
    need_program("llvm-mca-19")
    chain = ("sdot v0.4s, v1.16b, v2.16b", "b.ne c8 <kernel+0xc8>")
    assert 0.9 <= arm_cycles.cycles("neoverse-n1", chain) <= 4.1
    assert arm_cycles.peak("neondot", "neoverse-n1") == pytest.approx(32, rel=0.02)
