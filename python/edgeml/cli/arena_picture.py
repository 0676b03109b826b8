# SPDX-License-Identifier: Apache-2.0
"""The arena of a model as lines of text: a line per node, across it the bytes of the arena and who has them.

    node                           live bytes  0                                              1,505,280
    input                             602,112  |##############                                        |
    conv_0                          1,204,224  |==============###############                         |

`#` is being written, `=` holds what earlier nodes wrote and later ones need, `w` is the node's workspace. A column is
shown as used where any byte of it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

COLUMNS = 64


def arena_picture(blocks: Sequence[Mapping[str, Any]], nodes: Sequence[str], arena_bytes: int) -> list[str]:
    """Lines for the planned blocks (`tensors`, `workspace_of`, `offset`, `bytes`, `first`, `last`, `written`).

    Args:
        blocks: as `edgeml inspect --json` gives them; `written` are the nodes (-1: the caller) that write into the block.
        nodes: names of the nodes, in order.
        arena_bytes: what the full width stands for.
    """
    head = f"{'node':<32}{'live bytes':>12}  0{f'{arena_bytes:,}':>{COLUMNS}}"
    lines = [head]
    for step, name in enumerate(["(input)", *nodes], -1):
        live = [block for block in blocks if block["first"] <= step <= block["last"]]
        if step < 0 and not live:
            continue
        row = [" "] * COLUMNS
        for block in live:
            begin = block["offset"] * COLUMNS // arena_bytes
            end = max(begin + 1, -(-(block["offset"] + block["bytes"]) * COLUMNS // arena_bytes))
            mark = "w" if block["workspace_of"] else "#" if step in block["written"] else "="
            # Where two blocks meet in one column, the one that the node writes is shown.
            row[begin:end] = [mark if mark != "=" or old == " " else old for old in row[begin:end]]
        lines.append(f"{name[-31:]:<32}{sum(block['bytes'] for block in live):>12,}  |{''.join(row)}|")
    return lines
