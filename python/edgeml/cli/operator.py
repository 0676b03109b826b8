# SPDX-License-Identifier: Apache-2.0
"""Who types the command, as the audit log names them."""

from __future__ import annotations

import getpass
import os


def operator() -> str:
    """`operator:NAME` with the login name, or the user id where there is none."""
    try:
        return f"operator:{getpass.getuser()}"
    except (KeyError, OSError):  # a container whose user has no entry
        return f"operator:uid-{os.getuid()}"
