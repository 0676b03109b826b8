# SPDX-License-Identifier: Apache-2.0
"""ncnn on the CPU; files made by pnnx. Its int8 needs ncnn2table and ncnn2int8, which no package of the registry holds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np

from bench.peers.job import Job, PrepareError, fresh_folder, tool

PACKAGES: Final = ("ncnn",)
TOOL_PACKAGES: Final = ("pnnx", "ncnn")
VARIANTS: Final = ("int8", "float")
AVX2: Final[dict[str, str] | None] = None


def prepare(job: Job) -> None:
    folder = fresh_folder(job.file)
    if job.variant == "int8":
        tool("ncnn2table", cwd=folder)
    (folder / "model.onnx").write_bytes(job.model.read_bytes())
    with np.load(job.calibration) as data:
        shapes = ",".join(str([1, *array.shape[1:]]).replace(" ", "") for array in data.values())
    tool("pnnx", "model.onnx", f"inputshape={shapes}", cwd=folder)
    if not (folder / "model.ncnn.param").exists():
        raise PrepareError("pnnx wrote no model.ncnn.param")


def load(file: Path, threads: int, feed: dict[str, Any]) -> Callable[[], list[Any]]:
    import ncnn  # noqa: PLC0415

    net = ncnn.Net()
    net.opt.num_threads = threads
    net.opt.use_vulkan_compute = False
    if net.load_param(str(file / "model.ncnn.param")) != 0 or net.load_model(str(file / "model.ncnn.bin")) != 0:
        raise PrepareError("ncnn does not load what pnnx wrote: a layer is unknown to it")
    names = list(net.input_names()), list(net.output_names())
    inputs = [np.ascontiguousarray(array[0]) for array in feed.values()]

    def run() -> list[Any]:
        extractor = net.create_extractor()
        for name, array in zip(names[0], inputs, strict=True):
            extractor.input(name, ncnn.Mat(array))
        outputs = []
        for name in names[1]:
            code, out = extractor.extract(name)
            if code != 0:
                raise PrepareError(f"ncnn's extract of {name} returned {code}")
            outputs.append(np.array(out))
        return outputs

    return run
