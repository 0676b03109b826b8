# SPDX-License-Identifier: Apache-2.0
"""Two virtual environments per runtime, made once: one that runs it, one with what makes its files."""

from __future__ import annotations

import hashlib
import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

REPOSITORY: Final = Path(__file__).resolve().parents[2]
BUILT_FROM: Final = ("CMakeLists.txt", "pyproject.toml", "cmake", "cpp", "python")  # of edgeml's wheel
NOT_COUNTED: Final = ("numpy", "pip", "setuptools", "_distutils_hack", "distutils-precedence", "pkg_resources", "wheel")


@dataclass(frozen=True)
class Environment:
    """An interpreter with the packages of one runtime, and what their sources were."""

    python: Path
    stamp: str


def make(cache: Path, runtime: str, *, tools: bool) -> Environment:
    """The environment, made if it is not there or its packages have changed.

    Raises:
        subprocess.CalledProcessError: pip could not install.
    """
    module = importlib.import_module(f"bench.peers.runtimes.{runtime}")
    packages: tuple[str, ...] = module.TOOL_PACKAGES if tools else module.PACKAGES
    folder = cache / "environments" / (f"{runtime}-tools" if tools else runtime)
    stamp = json.dumps([packages, tree_hash() if any(package.startswith(".") for package in packages) else ""])
    python, record = folder / "bin" / "python", folder / "packages.json"
    if record.exists() and record.read_text() == stamp:
        return Environment(python, stamp)
    if not record.exists():  # also after a run that was interrupted
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
    pip: list[str | Path] = [python, "-m", "pip", "install", "-qqq", "--disable-pip-version-check"]
    if packages[0].startswith("."):  # the version stays the same, so pip must be told
        subprocess.run([*pip, "--force-reinstall", "--no-deps", "."], cwd=REPOSITORY, check=True)
    subprocess.run([*pip, "numpy", *packages], cwd=REPOSITORY, check=True)
    record.write_text(stamp)
    return Environment(python, stamp)


def tree_hash() -> str:
    """SHA-256 over what edgeml's wheel is built from."""
    digest = hashlib.sha256()
    for path in sorted(_files(BUILT_FROM)):
        digest.update(str(path.relative_to(REPOSITORY)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _files(names: tuple[str, ...]) -> Iterator[Path]:
    for name in names:
        path = REPOSITORY / name
        for file in [path] if path.is_file() else path.rglob("*"):
            if file.is_file() and file.suffix not in {".so", ".pyc"}:
                yield file


def describe(environment: Environment, runtime: str) -> dict[str, Any]:
    """Version and installed size, without numpy and pip."""
    module = importlib.import_module(f"bench.peers.runtimes.{runtime}")
    package = "edgeml" if module.PACKAGES[0] == "." else module.PACKAGES[0]
    program = f"import importlib.metadata, sysconfig; print(importlib.metadata.version({package!r})); print(sysconfig.get_path('purelib'))"
    text = subprocess.run([environment.python, "-c", program], capture_output=True, text=True, check=True).stdout
    version, site = text.split()
    counted = [
        file
        for file in Path(site).rglob("*")
        if file.is_file() and "__pycache__" not in file.parts and not _left_out(file.relative_to(site).parts[0])
    ]
    return {"version": version, "installed_bytes": sum(file.stat().st_size for file in counted)}


def _left_out(folder: str) -> bool:
    return any(folder == name or folder.startswith((f"{name}-", f"{name}.")) for name in NOT_COUNTED)
