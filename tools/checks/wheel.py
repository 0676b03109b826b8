# SPDX-License-Identifier: Apache-2.0
"""What people install: small, and nothing in it but the package."""

from __future__ import annotations

import zipfile
from typing import Final

from checks.tree import REPOSITORY, files_under

WHEEL_BYTES_MAX: Final = 2_000_000
FOLDER: Final = REPOSITORY / "build" / "dist"  # made by tools/test


def complaints_about(names: list[str], size: int, sources: list[str]) -> list[str]:
    """Complaints about a wheel of `size` bytes with these members, made from these files under python/."""
    complaints = []
    if size > WHEEL_BYTES_MAX:
        complaints.append(f"the wheel has {size} bytes, more than {WHEEL_BYTES_MAX}")
    expected = {source.removeprefix("python/") for source in sources}
    members = {name for name in names if ".dist-info/" not in name}
    modules = {name for name in members if name.startswith("edgeml/_core.") and name.endswith(".so")}
    if len(modules) != 1:
        complaints.append(f"the wheel must hold one extension module edgeml/_core.*.so, it has {sorted(modules)}")
    complaints += [f"the wheel lacks {name}" for name in sorted(expected - members)]
    complaints += [
        f"the wheel holds {name}, which is no file of python/edgeml" for name in sorted(members - expected - modules)
    ]
    return complaints


def wheel(*, fix: bool) -> list[str]:
    """The wheel that tools/test has built."""
    wheels = sorted(FOLDER.glob("edgeml-*.whl"))
    if len(wheels) != 1:
        return ["no wheel in build/dist: run tools/test install first"]
    with zipfile.ZipFile(wheels[0]) as archive:
        return complaints_about(archive.namelist(), wheels[0].stat().st_size, files_under("python/edgeml", ""))
