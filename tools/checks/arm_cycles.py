# SPDX-License-Identifier: Apache-2.0
"""Cycles of the ARM kernels' hot loops as llvm-mca reads them, against the committed table.

There is no ARM machine here, so this is arithmetic on scheduling models, not a measurement: it finds a loop that got
slower, it does not tell how fast a board is. A loop that is more than 5 % slower than its row of the table is a complaint.
`tools/make_arm_cycles.py` writes the table. Rows are compared under the compiler and the llvm-mca that made it.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from typing import Final

from checks.hot_loops import FAMILIES, Loop, loops, object_of
from checks.symbols import BUILDS, output
from checks.tables import kernel_rows
from checks.tree import REPOSITORY

TABLE: Final = "bench/kernels/arm_cycles.md"
MCA: Final = "llvm-mca-19"
SLOWER_MAX: Final = 1.05
MULTIPLIES_MIN: Final = 8  # fewer are left-overs: a single pixel, any window
# The cores that choose a level, by the names of llvm-mca.
CORES: Final = {
    "neon": ("cortex-a53", "cortex-a72"),
    "neondot": ("cortex-a55", "neoverse-n1", "neoverse-n2"),
    "neoni8mm": ("neoverse-n2",),
}
# What a core can do at most: its multiplying instructions alone, each with registers of its own.
PEAK: Final = {
    "neon": ("smull v{a}.8h, v30.8b, v31.8b", "smlal2 v{a}.8h, v30.16b, v31.16b", "sadalp v{b}.4s, v{a}.8h"),
    "neondot": ("sdot v{a}.4s, v30.16b, v31.16b",),
    "neoni8mm": ("smmla v{a}.4s, v30.16b, v31.16b",),
}
MACS: Final = {"sdot": 16, "smmla": 32, "smull": 8, "smull2": 8, "smlal": 8, "smlal2": 8}
HEAD: Final = "| kernel | loop | core | multiply-adds | cycles | per cycle | of peak |"


@dataclass(frozen=True, kw_only=True)
class Reading:
    """One row of the table."""

    kernel: str
    loop: str
    core: str
    macs: int  # that the multiplying instructions of one pass do, padding included
    cycles: float  # of one pass
    peak: float  # multiply-adds per cycle

    @property
    def key(self) -> tuple[str, str, str]:
        """What identifies the row."""
        return (self.kernel, self.loop, self.core)

    def line(self) -> str:
        """The row as Markdown."""
        rate = self.macs / self.cycles
        cells = (self.kernel, f"`{self.loop}`", self.core, self.macs, f"{self.cycles:.2f}", f"{rate:.1f}")
        return f"| {' | '.join(map(str, cells))} | {100 * rate / self.peak:.0f} % |"


def cycles(core: str, instructions: tuple[str, ...]) -> float:
    """Cycles of one pass in the steady state, by llvm-mca."""
    passes = 200
    lines = [re.sub(r"\b[0-9a-f]+ <.*>$", ".Lloop", i) for i in instructions]
    text = "\n".join([".Lloop:", *lines, ""])
    words = [MCA, "-mtriple=aarch64", f"-mcpu={core}", "-mattr=+dotprod,+i8mm", f"-iterations={passes}"]
    quiet = ["-instruction-info=false", "-resource-pressure=false"]
    done = subprocess.run([*words, *quiet], input=text, capture_output=True, text=True, check=True)
    (total,) = re.findall(r"^Total Cycles:\s+(\d+)", done.stdout, re.MULTILINE)
    return int(total) / passes


def macs(instructions: tuple[str, ...]) -> int:
    """Multiply-adds of the vector instructions."""
    return sum(MACS.get(i.split()[0], 0) for i in instructions if re.match(r"\S+ v", i))


def peak(level: str, core: str) -> float:
    """Multiply-adds per cycle of the level's instructions alone."""
    block = tuple(step.format(a=i, b=i + 12) for step in PEAK[level] for i in range(12))
    return macs(block) / cycles(core, block)


def _named(found: list[Loop]) -> list[tuple[str, Loop]]:
    """The loops worth a row, numbered where a function has several."""
    large = [loop for loop in found if macs(loop.instructions) >= MULTIPLIES_MIN * 8]
    names = [loop.function for loop in large]
    return [(f"{n} {names[:i].count(n) + 1}" if names.count(n) > 1 else n, large[i]) for i, n in enumerate(names)]


def readings() -> list[Reading]:
    """What llvm-mca says today of every matrix and depthwise kernel of the aarch64 build."""
    folder, prefix = BUILDS["aarch64"]
    found = []
    for row in kernel_rows():
        if row.family not in FAMILIES or row.isa not in CORES:
            continue
        peaks = {core: peak(row.isa, core) for core in CORES[row.isa]}
        for name, loop in _named(loops("aarch64", f"{prefix}objdump", object_of(REPOSITORY / folder, row))):
            for core, most in peaks.items():
                total = cycles(core, loop.instructions)
                found.append(
                    Reading(
                        kernel=row.symbol,
                        loop=name,
                        core=core,
                        macs=macs(loop.instructions),
                        cycles=total,
                        peak=most,
                    )
                )
    return found


def versions() -> str:
    """The programs that the numbers depend on."""
    compiler = output("aarch64-linux-gnu-g++", "-dumpfullversion").strip()
    (mca,) = re.findall(r"LLVM version (\S+)", output(MCA, "--version"))
    return f"Made with aarch64-linux-gnu-g++ {compiler} and llvm-mca {mca}."


def recorded(table: str) -> dict[tuple[str, str, str], float]:
    """Cycles per multiply-add of each row of the table's text."""
    rows = {}
    for line in table.splitlines():
        cells = [cell.strip().strip("`") for cell in line.strip("| ").split("|")]
        if len(cells) == HEAD.count("|") - 1 and cells[3].isdigit():
            rows[(cells[0], cells[1], cells[2])] = float(cells[4]) / int(cells[3])
    return rows


def complaints_about(now: list[Reading], table: str) -> list[str]:
    """Loops that are slower than the table says, that it lacks, or that are gone."""
    then = recorded(table)
    complaints = []
    for reading in now:
        before = then.pop(reading.key, None)
        where = f"{reading.kernel}, {reading.loop}, {reading.core}"
        if before is None:
            complaints.append(f"{where}: not in {TABLE}; run tools/make_arm_cycles.py and look at the difference")
        elif reading.cycles / reading.macs > SLOWER_MAX * before:
            slower = 100 * (reading.cycles / reading.macs / before - 1)
            complaints.append(f"{where}: {slower:.0f} % more cycles per multiply-add than {TABLE} says")
    gone = [f"{', '.join(key)}: in {TABLE}, but there is no such loop; run tools/make_arm_cycles.py" for key in then]
    return complaints + gone


def arm_cycles(*, fix: bool) -> list[str]:
    """The aarch64 build, if it is there, against the table."""
    folder = REPOSITORY / BUILDS["aarch64"][0]
    if not folder.exists() or shutil.which(MCA) is None or shutil.which("aarch64-linux-gnu-g++") is None:
        return []
    objects = [object_of(folder, row) for row in kernel_rows() if row.family in FAMILIES and row.isa in CORES]
    if missing := [path.name for path in objects if not path.exists()]:
        return [
            f"{folder.relative_to(REPOSITORY)} lacks {', '.join(missing)}: it is an old build, run tools/test aarch64"
        ]
    table = (REPOSITORY / TABLE).read_text(encoding="utf-8")
    return complaints_about(readings(), table) if versions() in table else []
