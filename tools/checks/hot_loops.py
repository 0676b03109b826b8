# SPDX-License-Identifier: Apache-2.0
"""The hot loops of the matrix and depthwise kernels keep everything in registers.

Generated from the objects: of each function of a kernel the innermost loops that multiply. A vector that goes to the stack
in one of them was spilled by the compiler; GCC keeps whole accumulator tiles there when it is not careful
(CONTRIBUTING.md, "Add a kernel"), at half the speed and with the right result.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from checks.symbols import BUILDS, output
from checks.tables import KernelRow, kernel_rows
from checks.tree import REPOSITORY

FAMILIES: Final = ("qs8_gemm", "qs8_spmm", "qs8_dwconv")
# The instructions that multiply int8 or int16, in objdump's words.
MULTIPLY: Final = {
    "x86_64": re.compile(r"^(\{vex\} )?v?p(dpbusd|maddwd)\b"),
    "aarch64": re.compile(r"^(sdot|smmla|smlal2?|smull2?) v"),
}
_BRANCH: Final = {
    "x86_64": re.compile(r"^j[a-z]+\s+([0-9a-f]+)\b"),
    "aarch64": re.compile(r"^(?:b(?:\.[a-z]+)?|cbn?z\s+\w+,|tbn?z\s+\w+, #\w+,)\s+([0-9a-f]+)\b"),
}
_NO_NEXT: Final = {"x86_64": re.compile(r"^(jmp|ret)"), "aarch64": re.compile(r"^(b|br|ret)( |$)")}
# Words on the stack are the out_h or the address that a loop over rows has no register for; they cost nothing.
_VECTOR: Final = {"x86_64": re.compile(r"%[xyz]mm"), "aarch64": re.compile(r"\b[qdsv]\d+\b")}
_FRAME_POINTER: Final = {"x86_64": re.compile(r"^mov\s+%rsp,%rbp"), "aarch64": re.compile(r"^mov\s+x29, sp")}
_STACK: Final = {"x86_64": re.compile(r"\(%rsp"), "aarch64": re.compile(r"\[sp")}
_FRAME: Final = {"x86_64": re.compile(r"\(%rbp"), "aarch64": re.compile(r"\[x29")}


@dataclass(frozen=True, kw_only=True)
class Loop:
    """An innermost loop that multiplies."""

    function: str  # demangled, without arguments
    number: int  # within the function, from 0
    instructions: tuple[str, ...]  # from the first to the backward branch
    spills: tuple[str, ...]  # those that move a vector to the stack or back


@dataclass(frozen=True, kw_only=True)
class _Function:
    name: str
    addresses: list[int]
    instructions: list[str]


def _functions(objdump: str, object_file: Path) -> list[_Function]:
    found: list[_Function] = []
    for line in output(objdump, "-d", "--no-show-raw-insn", "--demangle", object_file).splitlines():
        if head := re.fullmatch(r"[0-9a-f]+ <(.+)>:", line):
            found.append(_Function(name=head[1], addresses=[], instructions=[]))
        elif body := re.fullmatch(r"\s+([0-9a-f]+):\t(.+)", line):
            found[-1].addresses.append(int(body[1], 16))
            found[-1].instructions.append(re.sub(r"\s+", " ", body[2].split("//")[0].strip()))
    return found


def _predecessors(function: _Function, architecture: str) -> tuple[list[list[int]], list[tuple[int, int]]]:
    """For each instruction those that may come before it, and the backward branches (from, to)."""
    index_of = {address: i for i, address in enumerate(function.addresses)}
    before: list[list[int]] = [[] for _ in function.instructions]
    back = []
    for i, instruction in enumerate(function.instructions):
        branch = _BRANCH[architecture].match(instruction)
        target = index_of.get(int(branch[1], 16)) if branch else None
        if target is not None:
            before[target].append(i)
            if target <= i:
                back.append((i, target))
        if i + 1 < len(before) and not _NO_NEXT[architecture].match(instruction):
            before[i + 1].append(i)
    return before, back


def _reach(start: int, steps: list[list[int]], stop: int) -> set[int]:
    """What can be reached from `start` without going on from `stop`, both included if they are reached."""
    seen: set[int] = set()
    waiting = [start]
    while waiting:
        i = waiting.pop()
        if i not in seen:
            seen.add(i)
            waiting += steps[i] if i != stop else []
    return seen


def _innermost(function: _Function, architecture: str) -> list[list[int]]:
    """Instructions of each loop that contains no other: what lies between the target of a backward branch and it.

    A branch back into the middle of a loop, from code that the compiler has put aside, gives the same loop again.
    """
    before, back = _predecessors(function, architecture)
    after: list[list[int]] = [[] for _ in before]
    for i, sources in enumerate(before):
        for source in sources:
            after[source].append(i)
    between = [(frozenset(_reach(last, before, first) & _reach(first, after, -1)), last, first) for last, first in back]
    bodies = {body for body, last, first in between if last in body and first in body}
    return sorted(sorted(body) for body in bodies if not any(other < body for other in bodies))


def _short(name: str) -> str:
    """A demangled name without namespaces, return type and arguments: column<2, 3>."""
    name = re.sub(r"\(anonymous namespace\)::|edgeml::kernels::|\((?:\w|::)+\)(?=\d)", "", name)
    return re.sub(r"^(void|int) ", "", name.rsplit("(", 1)[0])


def loops(architecture: str, objdump: str, object_file: Path) -> list[Loop]:
    """The hot loops of one object, in the order of its code."""
    found = []
    for function in _functions(objdump, object_file):
        framed = any(_FRAME_POINTER[architecture].match(i) for i in function.instructions)
        bodies = [[function.instructions[i] for i in body] for body in _innermost(function, architecture)]
        hot = [body for body in bodies if any(MULTIPLY[architecture].match(i) for i in body)]
        for number, body in enumerate(hot):
            found.append(
                Loop(
                    function=_short(function.name),
                    number=number,
                    instructions=tuple(body),
                    spills=tuple(i for i in body if _is_spill(architecture, i, framed=framed)),
                )
            )
    return found


def _is_spill(architecture: str, instruction: str, *, framed: bool) -> bool:
    """A vector that goes to the stack or comes from it."""
    on_stack = _STACK[architecture].search(instruction) or (framed and _FRAME[architecture].search(instruction))
    return bool(on_stack and _VECTOR[architecture].search(instruction))


def object_of(folder: Path, row: KernelRow) -> Path:
    """Where a build folder keeps the object of a kernel."""
    return folder / "CMakeFiles" / "edgeml_core.dir" / f"{row.path}.o"


def check_kernel(architecture: str, objdump: str, object_file: Path) -> list[str]:
    """Complaints about the object of one kernel."""
    found = loops(architecture, objdump, object_file)
    complaints = [
        f"{object_file.name}: {loop.function}: a loop of {len(loop.instructions)} instructions spills: "
        + "; ".join(loop.spills[:3])
        for loop in found
        if loop.spills
    ]
    return complaints if found else [f"{object_file.name}: no loop that multiplies: what does the kernel do?"]


def hot_loops(*, fix: bool) -> list[str]:
    """Every row of the matrix and depthwise families in the builds that are there, ref left out."""
    complaints = []
    for architecture, (folder, prefix) in BUILDS.items():
        if prefix and shutil.which(f"{prefix}objdump") is None:
            continue
        for row in kernel_rows():
            object_file = object_of(REPOSITORY / folder, row)
            if row.family in FAMILIES and row.isa != "ref" and object_file.exists():
                complaints += check_kernel(architecture, f"{prefix}objdump", object_file)
    return complaints
