# SPDX-License-Identifier: Apache-2.0
"""One file per runtime: what to install, how its files are made from ONNX, and its normal call.

Each module has
    PACKAGES        what pip installs to run, nothing else: the installed size is that of these
    TOOL_PACKAGES   what pip installs to make files from ONNX, in a second environment
    VARIANTS        the numbers it can run with; a name that begins with "int8" counts as int8
    AVX2            environment variables that keep it from using more than AVX2; None: it has no such switch
    prepare(job)    make `job.file` (runs in the second environment)
    load(file, threads, feed) -> a call without arguments that returns the outputs (runs in the first)

A module imports its runtime inside these functions only, so that the coordinator can read the rest without it.
"""

from __future__ import annotations

from typing import Final

RUNTIMES: Final = (
    "edgeml",
    "onnxruntime",
    "openvino",
    "litert",
    "ncnn",
    "mnn",
)  # openvino takes onnxruntime's int8 file
