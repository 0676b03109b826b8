# SPDX-License-Identifier: Apache-2.0
"""LiteRT (TensorFlow Lite) with XNNPACK.

int8-reference is the publisher's own file; it is fed its own int8 input and gives int8 output, so it does a little less than
the others. int8 and float32 are made from ONNX by onnx2tf. Images are fed as NHWC, transposed outside of the measured call.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np

from bench.peers.job import Job, PrepareError, fresh_folder, tool

PACKAGES: Final = ("ai-edge-litert",)
TOOL_PACKAGES: Final = ("onnx2tf", "tensorflow-cpu", "tf_keras", "onnx_graphsurgeon", "sng4onnx", "ai-edge-litert")
VARIANTS: Final = ("int8-reference", "int8", "float32")
AVX2: Final[dict[str, str] | None] = None


def prepare(job: Job) -> None:
    if job.variant == "int8-reference":
        if not job.reference_int8.exists():
            raise PrepareError("the publisher has no int8 .tflite file")
        job.file.write_bytes(job.reference_int8.read_bytes())
        return
    folder = fresh_folder(job.file.with_suffix(".onnx2tf"))
    # onnx2tf fetches pictures for inputs with three channels unless they lie there; what they show does not matter
    np.save(
        folder / "calibration_image_sample_data_20x128x128x3_float32.npy", np.full((20, 128, 128, 3), 0.5, np.float32)
    )
    words: list[str | Path] = ["-i", job.model, "-o", folder, "-n"]
    if job.variant == "int8":
        with np.load(job.calibration) as data:
            for name, array in data.items():
                file = folder / f"{len(words)}.npy"
                last = array.transpose(0, 2, 3, 1) if array.ndim == 4 else array
                np.save(file, np.ascontiguousarray(last))
                zero, one = ("[" * (array.ndim) + number + "]" * (array.ndim) for number in ("0.0", "1.0"))
                words += ["-cind", name, file, zero, one]
        words += ["-oiqt", "-qt", "per-channel"]
    tool("onnx2tf", *words, cwd=folder)
    ending = "_full_integer_quant.tflite" if job.variant == "int8" else "_float32.tflite"
    made = [file for file in sorted(folder.glob(f"*{ending}")) if "int16" not in file.name]
    if not made:
        raise PrepareError(f"onnx2tf made no file *{ending}")
    made[0].rename(job.file)


def load(file: Path, threads: int, feed: dict[str, Any]) -> Callable[[], list[Any]]:
    from ai_edge_litert.interpreter import Interpreter  # noqa: PLC0415

    interpreter = Interpreter(model_path=str(file), num_threads=threads)
    interpreter.allocate_tensors()
    arrays = [(detail["index"], _as_taken(detail, feed)) for detail in interpreter.get_input_details()]
    outputs = [detail["index"] for detail in interpreter.get_output_details()]

    def run() -> list[Any]:
        for index, array in arrays:
            interpreter.set_tensor(index, array)
        interpreter.invoke()
        return [interpreter.get_tensor(index) for index in outputs]

    return run


def _as_taken(detail: dict[str, Any], feed: dict[str, Any]) -> Any:
    """The input (there is one) in the layout and numbers that the file takes."""
    (x,) = feed.values()
    shape = tuple(detail["shape"])
    if x.shape != shape:
        x = x.transpose(0, 2, 3, 1) if x.ndim == 4 and x.transpose(0, 2, 3, 1).shape == shape else x.reshape(shape)
    if detail["dtype"] != np.float32:
        scale, zero_point = detail["quantization"]
        limits = np.iinfo(detail["dtype"])
        x = np.clip(np.rint(x / scale) + zero_point, limits.min, limits.max)
    return np.ascontiguousarray(x, detail["dtype"])
