# SPDX-License-Identifier: Apache-2.0
"""Formatters, linters and type checkers. With fix they repair what they can."""

from __future__ import annotations

import concurrent.futures
import json
import os
import subprocess
import sys
from pathlib import Path

from checks.tree import REPOSITORY, files_under

BIN = Path(sys.executable).parent  # the environment of tools/test holds the programs, in the versions of pyproject.toml


def run(*words: str) -> list[str]:
    """Run a program in the repository; its output is the complaint if it exits non-zero."""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "python")}
    try:
        done = subprocess.run(
            [BIN / words[0], *words[1:]],
            cwd=REPOSITORY,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        return [f"{words[0]} is not installed beside {sys.executable}: run build/venv/bin/python tools/check"]
    return [] if done.returncode == 0 else [f"{' '.join(words[:2])}:\n{done.stdout.strip()}"]


def clang_format(*, fix: bool) -> list[str]:
    """C++ layout."""
    sources = files_under("cpp", ".h", ".cpp") + files_under("tests/cpp", ".h", ".cpp") + files_under("bench", ".cpp")
    return run("clang-format", *(("-i",) if fix else ("--dry-run", "-Werror")), *sources)


def ruff(*, fix: bool) -> list[str]:
    """Python style and layout."""
    check = run("ruff", "check", "--quiet", *(("--fix",) if fix else ()))
    return check + run("ruff", "format", "--quiet", *(() if fix else ("--diff",)))


def mypy(*, fix: bool) -> list[str]:
    """Python types."""
    return run("mypy", "--no-error-summary")


def python_layers(*, fix: bool) -> list[str]:
    """Python imports go one way."""
    return run("lint-imports")


def clang_tidy(*, fix: bool) -> list[str]:
    """C++ bug patterns, file by file; needs the compile commands of the dev preset."""
    database = REPOSITORY / "build" / "dev" / "compile_commands.json"
    if not database.exists():
        return ["clang-tidy needs build/dev/compile_commands.json: run tools/test cpp first"]
    known = {str(Path(entry["file"]).relative_to(REPOSITORY)) for entry in json.loads(database.read_text())}
    sources = [path for path in files_under("cpp", ".cpp") if path in known]
    arguments = ("--quiet", "-p", "build/dev", *(("--fix",) if fix else ()))
    workers = 1 if fix else len(os.sched_getaffinity(0))  # fixes of two files may touch one header
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        return [line for lines in pool.map(lambda path: run("clang-tidy", *arguments, path), sources) for line in lines]
