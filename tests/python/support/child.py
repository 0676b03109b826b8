# SPDX-License-Identifier: Apache-2.0
"""The environment of child processes: they import the edgeml that is tested, whatever their folder."""

from __future__ import annotations

import os
from pathlib import Path

import edgeml

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(edgeml.__file__).parents[1])}
