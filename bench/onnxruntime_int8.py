# SPDX-License-Identifier: Apache-2.0
"""edgeml against ONNX Runtime, float and int8, on one model: interleaved, one thread, one core, medians.

    python bench/onnxruntime_int8.py MODEL.onnx --calibration DATA.npz

ONNX Runtime's int8 model is made here by its own static quantizer (QDQ, per-channel s8 weights, min-max) twice, with
u8 and with s8 activations, because either may be the faster one; edgeml is compared with the better of the two.
Prints one JSON document.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

import edgeml


class _Reader(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, name: str, x: np.ndarray) -> None:
        self._feeds: Iterator[dict[str, np.ndarray]] = iter([{name: x[i : i + 1]} for i in range(len(x))])

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._feeds, None)


def ort_session(path: Path, threads: int) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def quantize(model: Path, name: str, x: np.ndarray, activations: QuantType, folder: Path) -> Path:
    prepared, target = folder / "prepared.onnx", folder / f"{activations.name}.onnx"
    quant_pre_process(str(model), str(prepared), skip_symbolic_shape=True)
    quantize_static(
        str(prepared),
        str(target),
        _Reader(name, x),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=activations,
        weight_type=QuantType.QInt8,
    )
    return target


def interleave(calls: dict[str, Callable[[], Any]], seconds: float) -> dict[str, list[float]]:
    """Time each call in turn until the time is up; the first fifth is a warm-up and is not counted."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    begin = time.perf_counter()
    while (now := time.perf_counter()) < begin + seconds:
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            if now > begin + seconds * 0.2:
                times[name].append(time.perf_counter() - start)
    return times


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument(
        "--calibration", type=Path, required=True, help=".npz with one array, by the input's name or `x`"
    )
    parser.add_argument("--samples", type=int, default=20, help="calibration samples for ONNX Runtime's quantizer")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=20.0)
    args = parser.parse_args()
    cpus = sorted(os.sched_getaffinity(0))[: args.threads]
    float_session = ort_session(args.model, args.threads)
    name = float_session.get_inputs()[0].name
    with np.load(args.calibration) as data:
        x = np.asarray(data[name if name in data.files else "x"], np.float32)
    artifact = edgeml.convert(args.model, calibration={name: x})
    with tempfile.TemporaryDirectory() as folder:
        peers = {
            f"onnxruntime int8 ({activations.name})": ort_session(
                quantize(args.model, name, x[: args.samples], activations, Path(folder)), args.threads
            )
            for activations in (QuantType.QUInt8, QuantType.QInt8)
        }
    peers["onnxruntime float32"] = float_session
    os.sched_setaffinity(0, cpus)
    sessions = {"edgeml int8": edgeml.InferenceSession(artifact.to_bytes(), threads=args.threads), **peers}
    feed = {name: x[:1].copy()}
    times = interleave(
        {label: (lambda s=session: s.run(None, feed)) for label, session in sessions.items()}, args.seconds
    )
    median_ms = {label: float(np.median(values)) * 1e3 for label, values in times.items()}
    best_int8 = min(value for label, value in median_ms.items() if label.startswith("onnxruntime int8"))
    report = {
        "model": args.model.name,
        "threads": args.threads,
        "machine": platform.processor() or platform.machine(),
        "versions": {"edgeml": edgeml.__version__, "onnxruntime": ort.__version__},
        "runs_each": len(times["edgeml int8"]),
        "median_ms": median_ms,
        "p99_ms": {label: float(np.percentile(values, 99)) * 1e3 for label, values in times.items()},
        "ratio_best_onnxruntime_int8_over_edgeml": best_int8 / median_ms["edgeml int8"],
        "ratio_onnxruntime_float32_over_edgeml": median_ms["onnxruntime float32"] / median_ms["edgeml int8"],
    }
    json.dump(report, sys.stdout, indent=1)
    print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
