# SPDX-License-Identifier: Apache-2.0
"""A disk whose power is cut at the n-th file operation, in a forked child; what was not synced may be lost.

Operations are fsync and rename, each once before and once after it. At the cut, files that were written and not synced lose
their second half, and, with `forgets`, renames whose folder was not synced have not happened.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

CUT = 77


class CuttingDisk:
    """Takes hold of os.fsync and os.replace in this process, which then ends at the n-th operation."""

    def __init__(self, n: int, *, forgets: bool) -> None:
        self._left = n
        self._forgets = forgets
        self._fsync, self._replace = os.fsync, os.replace
        self._unsynced_renames: list[tuple[Path, Path | None]] = []
        os.fsync, os.replace = self.fsync, self.replace

    def fsync(self, descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        self._count(torn=path)
        self._fsync(descriptor)
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            self._unsynced_renames = [one for one in self._unsynced_renames if one[0].parent != path]
        self._count()

    def replace(self, source: str, target: Path) -> None:
        self._count()
        backup = None
        if Path(target).exists():
            backup = Path(source).with_name(f"backup-{Path(target).name}")
            shutil.copy(target, backup)
        self._replace(source, target)
        self._unsynced_renames.append((Path(target), backup))
        self._count()

    def _count(self, torn: Path | None = None) -> None:
        self._left -= 1
        if self._left:
            return
        if torn is not None and torn.is_file():
            os.truncate(torn, torn.stat().st_size // 2)
        if self._forgets:
            for target, backup in reversed(self._unsynced_renames):
                if backup is None:
                    target.unlink()
                else:
                    self._replace(backup, target)
        os._exit(CUT)


def cut_at(n: int, work: Callable[[], None], *, forgets: bool) -> bool:
    """Do `work` in a child whose power is cut at operation `n`; False where the work was done before."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            CuttingDisk(n, forgets=forgets)
            work()
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    assert code in (0, CUT), f"the work failed with code {code}"
    return code == CUT
