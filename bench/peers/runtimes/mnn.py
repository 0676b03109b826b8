# SPDX-License-Identifier: Apache-2.0
"""MNN on the CPU; files made by its converter, int8 by its own calibration tool."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np

from bench.peers.job import Job, PrepareError, fresh_folder, tool

PACKAGES: Final = ("MNN",)
TOOL_PACKAGES: Final = ("MNN", "onnx")
VARIANTS: Final = ("int8", "float32")
AVX2: Final[dict[str, str] | None] = None
CALIBRATION_SAMPLES: Final = 16  # its samples are text files


def prepare(job: Job) -> None:
    folder = fresh_folder(job.file.with_suffix(".work"))
    made = folder / "float.mnn"
    tool("mnnconvert", "-f", "ONNX", "--modelFile", job.model, "--MNNModel", made, "--bizCode", "bench", cwd=folder)
    if job.variant == "int8":
        made = _quantize(job, made, folder)
    if not made.exists():
        raise PrepareError("MNN's tools ended without an error and without a file")
    made.rename(job.file)
    import onnx  # noqa: PLC0415

    graph = onnx.load(str(job.model), load_external_data=False).graph
    names = {"inputs": [i.name for i in graph.input], "outputs": [o.name for o in graph.output]}
    job.file.with_suffix(".json").write_text(json.dumps(names))


def _quantize(job: Job, model: Path, folder: Path) -> Path:
    """MNN's post-training quantization over text files of numbers."""
    import onnx  # noqa: PLC0415

    outputs = [o.name for o in onnx.load(str(job.model), load_external_data=False).graph.output]
    with np.load(job.calibration) as data:
        arrays = dict(data)
    for index in range(min(CALIBRATION_SAMPLES, *(len(array) for array in arrays.values()))):
        sample = fresh_folder(folder / "samples" / str(index))
        listing = [{"name": name, "shape": [1, *array.shape[1:]]} for name, array in arrays.items()]
        (sample / "input.json").write_text(json.dumps({"inputs": listing, "outputs": outputs}))
        for name, array in arrays.items():
            np.savetxt(sample / f"{name}.txt", array[index].reshape(-1), fmt="%.7g")
    settings = {
        "path": f"{folder}/samples/",
        "used_sample_num": CALIBRATION_SAMPLES,
        "feature_quantize_method": "KL",
        "weight_quantize_method": "MAX_ABS",
        "feature_clamp_value": 127,
        "weight_clamp_value": 127,
        "batch_size": 1,
        "quant_bits": 8,
        "input_type": "sequence",
    }
    (folder / "settings.json").write_text(json.dumps(settings))
    made = folder / "int8.mnn"
    tool("mnnquant", model, made, folder / "settings.json", cwd=folder)
    return made


def load(file: Path, threads: int, feed: dict[str, Any]) -> Callable[[], list[Any]]:
    import MNN  # noqa: PLC0415

    names = json.loads(file.with_suffix(".json").read_text())
    manager = MNN.nn.create_runtime_manager(({"backend": "CPU", "numThread": threads, "precision": "normal"},))
    net = MNN.nn.load_module_from_file(str(file), names["inputs"], names["outputs"], runtime_manager=manager)
    arrays = [feed[name] for name in names["inputs"]]

    def run() -> list[Any]:
        inputs = []
        for array in arrays:
            variable = MNN.expr.placeholder(list(array.shape), MNN.expr.NCHW)
            variable.write(array)
            inputs.append(variable)
        return [MNN.expr.convert(out, MNN.expr.NCHW).read() for out in net.forward(inputs)]

    return run
