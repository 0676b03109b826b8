# SPDX-License-Identifier: Apache-2.0
"""Objects built for an instruction set neither leak into others nor go beyond their level.

The linker keeps one copy of a weak function: if it came from an AVX-512 object, an older CPU would stop in it. So an
object of a kernel defines its own row's symbol and nothing else that another object can see, and the disassembly of
every object holds only instructions of its level.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

from checks.tables import kernel_rows
from checks.tree import REPOSITORY

# Operands or instructions that must not occur at a level, of the text that objdump prints (AT&T syntax on x86).
_VEX: Final = r"\tv(?!err|erw)[a-z0-9]+"  # every AVX instruction starts with v
_EVEX: Final = r"\t(6[457] )*62 "  # the first byte of every AVX-512 instruction, whatever its registers
_VNNI_INT8: Final = r"\bvpdp(b(ss|su|uu)|w(su|us|uu))ds?\b"  # AVX-VNNI-INT8 and -INT16
_SSE42: Final = r"\t(pcmpgtq|pcmp[ei]str[im]|crc32[bwlq]?|popcnt[wlq]?)\b"
_DOT: Final = r"\t[su]dot\b|\tv?usdot\b"
_I8MM: Final = r"\t(smmla|ummla|usmmla|usdot|sudot)\b"
FORBIDDEN: Final = {
    "x86_64": {
        "baseline": _VEX,
        "ref": _VEX,
        "sse41": rf"{_VEX}|{_SSE42}",
        "avx2": rf"{_EVEX}|\bvpdp",
        "avxvnni": rf"{_EVEX}|{_VNNI_INT8}",
        "avx512vnni": r"%tmm",
    },
    "aarch64": {
        "baseline": rf"{_DOT}|{_I8MM}",
        "ref": rf"{_DOT}|{_I8MM}",
        "neon": rf"{_DOT}|{_I8MM}",
        "neondot": _I8MM,
        "neoni8mm": r"\bz\d+\.[bhsd]\b",  # no SVE
    },
}
BUILDS: Final = {"x86_64": ("build/dev", ""), "aarch64": ("build/cross-aarch64", "aarch64-linux-gnu-")}


def output(*words: str | Path) -> str:
    """What a program of binutils prints."""
    return subprocess.run([str(w) for w in words], capture_output=True, text=True, check=True).stdout


def defined_symbols(nm: str, object_file: Path) -> list[tuple[str, str]]:
    """(kind, demangled name without arguments) of the symbols that other objects can see."""
    lines = output(nm, "--demangle", "--defined-only", "--extern-only", "--format=posix", object_file).splitlines()
    found = []
    for line in lines:
        name, kind = re.fullmatch(r"(.+?) ([A-Za-z])(?: [0-9a-f]+){0,2}\s*", line).groups()  # type: ignore[union-attr]
        found.append((kind, name.split("(")[0]))
    return found


def instructions_beyond(objdump: str, object_file: Path, pattern: str) -> str | None:
    """The first line of the disassembly that matches, or None."""
    text = output(objdump, "-d", "--wide", object_file)
    match = re.search(rf"^\s+[0-9a-f]+:.*?(?:{pattern}).*$", text, re.MULTILINE)
    return match.group(0).strip() if match else None


def check_build(architecture: str, folder: Path, prefix: str) -> list[str]:
    """All objects of the core in one build folder."""
    core = folder / "CMakeFiles" / "edgeml_core.dir"
    levels = {f"{row.path}.o": row for row in kernel_rows()}
    complaints = []
    for object_file in sorted(core.rglob("*.o")):
        path = str(object_file.relative_to(core))
        if not (REPOSITORY / path.removesuffix(".o")).exists():
            continue  # left over from a source that is gone
        row = levels.get(path)
        forbidden = FORBIDDEN[architecture].get(row.isa if row else "baseline")
        if forbidden is None:
            complaints.append(f"{path}: no rule for {row.isa if row else 'baseline'} in tools/checks/symbols.py")
            continue
        beyond = instructions_beyond(f"{prefix}objdump", object_file, forbidden)
        if beyond:
            complaints.append(f"{path} holds an instruction beyond {row.isa if row else 'the baseline'}: {beyond}")
        if row is None:
            continue
        expected = [("T", f"edgeml::kernels::{row.symbol}")]
        symbols = defined_symbols(f"{prefix}nm", object_file)
        if symbols != expected:
            complaints.append(f"{path} must define {expected[0][1]} and nothing else that others see; it has {symbols}")
    if not complaints and not any(core.rglob("*.o")):
        complaints.append(f"no objects in {core.relative_to(REPOSITORY)}: run tools/test cpp first")
    return complaints


def symbols(*, fix: bool) -> list[str]:
    """The builds that are there; the one of the dev preset always is."""
    complaints = []
    for architecture, (folder, prefix) in BUILDS.items():
        native = prefix == ""
        if native or ((REPOSITORY / folder).exists() and shutil.which(f"{prefix}nm")):
            complaints += check_build(architecture, REPOSITORY / folder, prefix)
    return complaints
