# SPDX-License-Identifier: Apache-2.0
"""Runs a command that Linux kills when the process that started it dies, however that dies: nothing is left behind.

    python tether.py PARENT_PID COMMAND [ARGUMENT ...]

A script, not an import, so that it costs a few milliseconds. Elsewhere than on Linux it only runs the command.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # linux/prctl.h; kept across exec

if __name__ == "__main__":
    parent_pid = int(sys.argv[1])
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent_pid:  # it died before the line above
        sys.exit(1)
    os.execv(sys.argv[2], sys.argv[2:])  # noqa: S606  the command comes from processes.py
