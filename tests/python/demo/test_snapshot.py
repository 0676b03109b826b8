# SPDX-License-Identifier: Apache-2.0
"""The page that stands alone: style inside, nothing that needs the server, whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

pytest.importorskip("sklearn", reason="needs edgeml[demo]")

from edgeml.demo.fleet import Fleet
from edgeml.demo.snapshot import write_snapshot
from edgeml.errors import FleetError

PAGES = {
    "/": '<head><link rel="stylesheet" href="/static/style.css">\n<script src="/static/refresh.js" defer></script>\n'
    '</head><a class="skip" href="#main">skip</a><a class="brand" href="/">edgeml</a>'
    '<a href="https://github.com/playbook">playbook</a>',
    "/static/style.css": "p { color: red } /* \\1 is no group */",
}


class Pages:
    """What write_snapshot needs of a fleet: answers to GET."""

    def get(self, path: str) -> str:
        return PAGES[path]


FLEET = cast("Fleet", cast("Any", Pages()))


def test_page_needs_no_server(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text("older")
    write_snapshot(FLEET, path)
    assert path.read_text() == (
        "<head><style>\np { color: red } /* \\1 is no group */\n</style>\n"
        '</head><a class="skip" href="#main">skip</a><a class="brand">edgeml</a>'
        '<a href="https://github.com/playbook">playbook</a>'
    )
    assert list(tmp_path.iterdir()) == [path]


def test_page_that_cannot_be_written_is_one_sentence_and_leaves_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "page.html"
    folder.mkdir()
    with pytest.raises(FleetError, match=r"cannot be written to .*page\.html"):
        write_snapshot(FLEET, folder)
    assert list(tmp_path.iterdir()) == [folder]
