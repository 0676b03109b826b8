# SPDX-License-Identifier: Apache-2.0
"""The three tables are complete: every row has the files and lines that belong to it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from checks.tree import files, text

OPERATORS: Final = "cpp/src/model/operators.def"
KERNELS: Final = "cpp/src/kernels/kernels.def"
ISAS: Final = "cpp/src/cpu/isa.def"
FORMAT_PAGE: Final = "docs/design/artifact-format.md"
FLAGS: Final = "cmake/isa_flags.cmake"


@dataclass(frozen=True, kw_only=True)
class KernelRow:
    """One row of kernels.def."""

    family: str
    isa: str
    symbol: str

    @property
    def path(self) -> str:
        """The kernel's file."""
        return f"cpp/src/kernels/{self.family}/{self.symbol}.cpp"


def rows(path: str, macro: str) -> list[list[str]]:
    """The arguments of every row of a table; commas inside quotes do not occur in the columns that are read."""
    found = re.findall(rf"^{macro}\((.*)\)\s*$", text(path), re.MULTILINE)
    return [[cell.strip() for cell in row.split(",")] for row in found]


def kernel_rows() -> list[KernelRow]:
    """The rows of kernels.def, of every architecture."""
    return [KernelRow(family=row[0], isa=row[2], symbol=row[6]) for row in rows(KERNELS, "EDGEML_KERNEL")]


def isa_names() -> list[str]:
    """The names of isa.def, most preferred first."""
    return [row[0] for row in rows(ISAS, "EDGEML_ISA")]


def missing(paths: list[str], why: str) -> list[str]:
    """A complaint for each path that does not exist."""
    there = set(files())
    return [f"missing {path}: {why}" for path in paths if path not in there]


def operators(*, fix: bool) -> list[str]:
    """operators.def against the operators' files and the page of the format."""
    complaints = []
    page = text(FORMAT_PAGE)
    table = rows(OPERATORS, "EDGEML_OP")
    for code, name, *_ in table:
        complaints += missing([f"cpp/src/ops/{name}.cpp"], f"operator {name} of {OPERATORS}")
        if not re.search(rf"^\| {code} \| {name} \|", page, re.MULTILINE):
            complaints.append(f"missing in {FORMAT_PAGE}, section 5: the row of operator {code}, {name}")
    for column, what in ((0, "code"), (1, "name")):
        values = [row[column] for row in table]
        complaints += [f"{OPERATORS}: {what} {v} is used twice" for v in sorted(set(values)) if values.count(v) > 1]
    return complaints


def kernels(*, fix: bool) -> list[str]:
    """kernels.def against the kernels' files, their tests, and each other."""
    complaints = []
    table = kernel_rows()
    for row in table:
        complaints += missing([row.path], f"row {row.symbol} of {KERNELS}")
        complaints += missing([f"tests/cpp/kernels/{row.family}_test.cpp"], f"the test of family {row.family}")
        if not re.fullmatch(rf"{row.family}(_\d+x\d+c\d+)?_{row.isa}", row.symbol):
            complaints.append(f"{KERNELS}: {row.symbol} is not named FAMILY[_MRxNRcKR]_ISA")
        if row.isa not in isa_names():
            complaints.append(f"{KERNELS}: {row.symbol}: {row.isa} is no row of {ISAS}")
    for family in sorted({row.family for row in table}):
        levels = [row.isa for row in table if row.family == family]
        if levels[-1] != "ref" or levels.count("ref") != 1:
            complaints.append(f"{KERNELS}: the last row of {family} must be its only ref row")
    known = {row.path for row in table}
    suffixes = tuple(f"_{isa}.cpp" for isa in isa_names())
    complaints += [
        f"{path}: no row of {KERNELS} names it"
        for path in files()
        if path.startswith("cpp/src/kernels/") and path.endswith(suffixes) and path not in known
    ]
    return complaints


def isas(*, fix: bool) -> list[str]:
    """isa.def against the compiler flags."""
    flags = text(FLAGS)
    return [
        f"missing in {FLAGS}: set(EDGEML_ISA_FLAGS_{name} ...), the flags of the row {name} of {ISAS}"
        for name in isa_names()
        if not re.search(rf"^set\(EDGEML_ISA_FLAGS_{name}\s", flags, re.MULTILINE)
    ]
