# SPDX-License-Identifier: Apache-2.0
"""A repository made of a few texts, for the tests of tools/checks."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType

import pytest


def use_tree(monkeypatch: pytest.MonkeyPatch, module: ModuleType, tree: Mapping[str, str]) -> None:
    """Let a module of tools/checks see these files, path -> text, in place of the repository."""

    def files_under(folder: str, *endings: str) -> list[str]:
        return [path for path in tree if path.startswith(f"{folder}/") and path.endswith(endings)]

    for name, replacement in (("files", lambda: tuple(tree)), ("files_under", files_under), ("text", tree.__getitem__)):
        if hasattr(module, name):
            monkeypatch.setattr(module, name, replacement)
