# SPDX-License-Identifier: Apache-2.0
"""What a runtime gets in order to make its file of a model."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path


class PrepareError(Exception):
    """The runtime cannot run the model in this way; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """A float ONNX model with batch 1, arrays [samples, ...] by input name, and the file or folder to make."""

    model: Path
    calibration: Path
    variant: str
    file: Path
    onnxruntime_int8: Path  # ONNX Runtime's int8 file of the same model
    reference_int8: Path  # the publisher's own int8 .tflite file, if there is one


def tool(name: str, *words: str | Path, cwd: Path) -> None:
    """Run a program of this environment; PrepareError with its last line if it fails."""
    program = Path(sys.executable).parent / name
    if not program.exists():
        raise PrepareError(f"the package has no program {name}")
    done = subprocess.run(
        [program, *words], cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode != 0:
        lines = [line.strip() for line in done.stdout.splitlines() if line.strip()]
        raise PrepareError(f"{name} ended with {done.returncode}: {lines[-1] if lines else 'it printed nothing'}")


def fresh_folder(path: Path) -> Path:
    """An empty folder of that name."""
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    return path
