# SPDX-License-Identifier: Apache-2.0
"""ONNX Runtime, CPU execution provider; int8 by its own static quantizer, QDQ, s8 weights per channel, u8 activations.

u8 activations are the faster choice on x86: with s8 some convolutions stay in float.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

from bench.peers.job import Job

PACKAGES: Final = ("onnxruntime",)
TOOL_PACKAGES: Final = ("onnxruntime", "onnx", "sympy")
VARIANTS: Final = ("int8", "float32")
AVX2: Final[dict[str, str] | None] = None


def prepare(job: Job) -> None:
    if job.variant == "float32":
        job.file.write_bytes(job.model.read_bytes())
        return
    import onnxruntime.quantization as q  # noqa: PLC0415
    from onnxruntime.quantization.shape_inference import quant_pre_process  # noqa: PLC0415

    class Reader(q.CalibrationDataReader):  # type: ignore[misc]
        def __init__(self, arrays: dict[str, Any]) -> None:
            count = min(len(array) for array in arrays.values())
            self._feeds: Iterator[dict[str, Any]] = iter(
                [{name: array[i : i + 1] for name, array in arrays.items()} for i in range(count)]
            )

        def get_next(self) -> dict[str, Any] | None:
            return next(self._feeds, None)

    with np.load(job.calibration) as data:
        arrays = dict(data)
    with tempfile.TemporaryDirectory() as folder:
        optimized = Path(folder) / "optimized.onnx"
        quant_pre_process(str(job.model), str(optimized))
        q.quantize_static(
            str(optimized),
            str(job.file),
            Reader(arrays),
            quant_format=q.QuantFormat.QDQ,
            per_channel=True,
            activation_type=q.QuantType.QUInt8,
            weight_type=q.QuantType.QInt8,
        )


def load(file: Path, threads: int, feed: dict[str, Any]) -> Callable[[], list[Any]]:
    import onnxruntime  # noqa: PLC0415

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, feed)
