# SPDX-License-Identifier: Apache-2.0
"""OpenVINO, CPU plugin, latency hint; int8 from ONNX Runtime's QDQ file and from its own quantizer, NNCF.

Float runs in the precision that OpenVINO chooses by itself, which may be bfloat16.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np

from bench.peers.job import Job, PrepareError

PACKAGES: Final = ("openvino",)
TOOL_PACKAGES: Final = ("openvino", "nncf", "onnx")
VARIANTS: Final = ("int8-qdq", "int8-nncf", "float")
AVX2: Final[dict[str, str] | None] = {"ONEDNN_MAX_CPU_ISA": "AVX2", "DNNL_MAX_CPU_ISA": "AVX2"}


def prepare(job: Job) -> None:
    import openvino  # noqa: PLC0415

    if job.variant == "int8-qdq" and not job.onnxruntime_int8.exists():
        raise PrepareError("ONNX Runtime's quantizer made no file that it could read")
    model = openvino.convert_model(job.onnxruntime_int8 if job.variant == "int8-qdq" else job.model)
    if job.variant == "int8-nncf":
        import nncf  # noqa: PLC0415

        with np.load(job.calibration) as data:
            arrays = dict(data)
        count = min(len(array) for array in arrays.values())
        feeds = [{name: array[i : i + 1] for name, array in arrays.items()} for i in range(count)]
        model = nncf.quantize(model, nncf.Dataset(feeds), subset_size=count)
    openvino.save_model(model, job.file, compress_to_fp16=False)


def load(file: Path, threads: int, feed: dict[str, Any]) -> Callable[[], list[Any]]:
    import openvino  # noqa: PLC0415

    options = {"PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": "1", "INFERENCE_NUM_THREADS": str(threads)}
    compiled = openvino.Core().compile_model(str(file), "CPU", options)
    request = compiled.create_infer_request()
    return lambda: list(request.infer(feed, share_inputs=True, share_outputs=True).values())
