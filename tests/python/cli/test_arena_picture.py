# SPDX-License-Identifier: Apache-2.0
"""The picture of the arena: who has which bytes at which node, drawn to scale."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgeml.artifact import Artifact
from edgeml.cli.arena_picture import COLUMNS, arena_picture
from edgeml.cli.main import main
from support.small_artifact import every_operator


def block(
    offset: int, size: int, first: int, last: int, written: list[int], workspace_of: str = ""
) -> dict[str, object]:
    tensors = [] if workspace_of else ["t"] * len(written)
    return {
        "tensors": tensors,
        "workspace_of": workspace_of,
        "offset": offset,
        "bytes": size,
        "first": first,
        "last": last,
        "written": written,
    }


def test_blocks_are_drawn_to_scale() -> None:
    blocks = [
        block(0, 32 * 64, -1, 0, [-1]),
        block(32 * 64, 16 * 64, 0, 2, [0, 1]),
        block(48 * 64, 64, 1, 1, [], "second"),
    ]
    assert arena_picture(blocks, ["first", "second"], COLUMNS * 64) == [
        "node                              live bytes  0" + "4,096".rjust(64),
        "(input)                                2,048  |" + "#" * 32 + " " * 32 + "|",
        "first                                  3,072  |" + "=" * 32 + "#" * 16 + " " * 16 + "|",
        "second                                 1,088  |" + " " * 32 + "#" * 16 + "w" + " " * 15 + "|",
    ]


def test_a_block_of_few_bytes_is_seen() -> None:
    (_, line) = arena_picture([block(1 << 20, 4, 0, 0, [0])], ["n"], (1 << 20) + 4)
    assert line.endswith("#|")


def test_inspect_shows_plan_and_lower_bound(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "m.edgeml"
    Artifact.build(every_operator()).save(path)
    assert main(["inspect", str(path), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    blocks = document["arena_blocks"]
    assert document["arena_bytes"] == max(b["offset"] + b["bytes"] for b in blocks)
    live = [
        sum(b["bytes"] for b in blocks if b["first"] <= step <= b["last"])
        for step in range(-1, len(document["nodes"]) + 1)
    ]
    assert document["live_bytes_max"] == max(live) <= document["arena_bytes"]
    for i, a in enumerate(blocks):
        assert bool(a["tensors"]) != bool(a["workspace_of"])
        for b in blocks[:i]:
            apart_in_time = a["last"] < b["first"] or b["last"] < a["first"]
            apart = a["offset"] + a["bytes"] <= b["offset"] or b["offset"] + b["bytes"] <= a["offset"]
            assert apart_in_time or apart
    assert main(["inspect", str(path)]) == 0
    text = capsys.readouterr().out
    assert f"at least {document['live_bytes_max']:,} live at once" in text
    assert all(
        any(line.startswith(f"{node['name'][-31:]:<32}") and line.endswith("|") for line in text.splitlines())
        for node in document["nodes"]
    )
