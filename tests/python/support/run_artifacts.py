# SPDX-License-Identifier: Apache-2.0
"""Program: `edgeml run` for many artifacts in one process, so that an emulated CPU starts Python once.

python run_artifacts.py JOBS.json     [{"artifact": path, "input": path, "output": path}, ...]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from edgeml.cli.main import main

for job in json.loads(Path(sys.argv[1]).read_text()):
    code = main(["run", job["artifact"], "--input", job["input"], "-o", job["output"], "--json"])
    if code != 0:
        sys.exit(code)
