# SPDX-License-Identifier: Apache-2.0
"""C++ includes go one way: a folder of cpp/src may include only what its row lists."""

from __future__ import annotations

import re
from typing import Final

from checks.tree import files_under, text

MAY_INCLUDE: Final = {
    "base": (),
    "cpu": ("base",),
    "kernels": ("base", "cpu"),
    "wire": ("base",),
    "observe": ("base", "cpu", "kernels", "noise"),
    "noise": ("base", "cpu", "kernels"),
    "model": ("base", "cpu"),
    "ops": ("base", "cpu", "kernels", "model"),
    "plan": ("base", "cpu", "kernels", "model", "ops"),
    "runtime": ("base", "cpu", "kernels", "model", "ops", "plan"),
}
INCLUDE: Final = re.compile(r'^\s*#\s*include\s+"([^"/]+)/', re.MULTILINE)


def cpp_layers(*, fix: bool) -> list[str]:
    """Includes of cpp/src against the table above; cpp/include may be included by all."""
    complaints = []
    for path in files_under("cpp/src", ".h", ".cpp", ".def"):
        folder = path.split("/")[2]
        if folder not in MAY_INCLUDE:
            complaints.append(f"{path}: the folder {folder} is in no layer; add it to tools/checks/cpp_layers.py")
            continue
        allowed = {folder, "edgeml", *MAY_INCLUDE[folder]}
        complaints += [
            f"{path}: {folder} may not include {included}/ (it may include {', '.join(sorted(allowed))})"
            for included in INCLUDE.findall(text(path))
            if included not in allowed
        ]
    return complaints
