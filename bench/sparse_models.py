# SPDX-License-Identifier: Apache-2.0
"""Whole networks of the zoo with zeros in blocks: sparse against dense, in turns, and the size of the files.

    taskset -c 1 python -m bench.sparse_models                     ResNet-50 and MobileNetV1, zeros 0.8 and 0.9
    taskset -c 1 python -m bench.sparse_models --networks mobilenet_v1_100_224 --zeros 0.5 --block-rows 1 2 4

Each network is converted once and stored twice: as the converter chooses, and with all zeros filled in. Both sessions
compute the same bits, which is checked; they take turns, one run each, on one thread; times are of the CPU, so that other
programs do not count. With --keep FOLDER the artifacts
are written there and found again.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

import edgeml
from bench.zoo import NETWORKS, build
from bench.zoo.blocks import images
from edgeml import _core
from edgeml.artifact import Artifact
from edgeml.artifact.model import Content
from edgeml.convert.weight_storage import choose_storage

ROUNDS = 25
CALIBRATION_IMAGES = 16


def artifacts(name: str, zeros: float, block_rows: int, folder: Path, target_isa: str) -> tuple[Artifact, Artifact]:
    """One conversion, stored as chosen for the level and stored dense."""
    path = folder / f"{name}_{round(100 * zeros)}_{block_rows}x4.edgeml"
    if not path.exists():
        model = build(name, zeros=zeros, block_rows=block_rows).SerializeToString()
        edgeml.convert(model, calibration={"input": images(CALIBRATION_IMAGES, 224, seed=2)}).save(path)
    artifact = Artifact.load(path)
    dense = tuple(dataclasses.replace(tensor, block_rows=0) for tensor in artifact.graph.tensors)
    graph = dataclasses.replace(artifact.graph, tensors=dense)
    contents = [Content(stored, dict(artifact.metadata), None) for stored in (choose_storage(graph, target_isa), graph)]
    return Artifact.build(contents[0]), Artifact.build(contents[1])


def measure(sparse: Artifact, dense: Artifact, isa: str | None) -> tuple[float, float, str]:
    """Median milliseconds of both, and the level that they ran."""
    sessions = [edgeml.InferenceSession(artifact.to_bytes(), isa=isa) for artifact in (sparse, dense)]
    feed = {"input": images(1, 224, seed=3)}
    results = [session.run(None, feed)[0] for session in sessions]
    if not np.array_equal(*results):
        raise SystemExit("sparse and dense differ")
    times: tuple[list[int], list[int]] = ([], [])
    for _ in range(ROUNDS):
        for session, durations in zip(sessions, times, strict=True):
            start = time.thread_time_ns()
            session.run(None, feed)
            durations.append(time.thread_time_ns() - start)
    return statistics.median(times[0]) / 1e6, statistics.median(times[1]) / 1e6, sessions[0].isa


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=["resnet50_224", "mobilenet_v1_100_224"])
    parser.add_argument("--zeros", nargs="+", type=float, default=[0.8, 0.9], help="shares of zero blocks")
    parser.add_argument("--block-rows", nargs="+", type=int, choices=(1, 2, 4), default=[2, 4])
    parser.add_argument("--isa", help="level to run and to store for; default: the best of this machine")
    parser.add_argument("--keep", type=Path, help="folder of the artifacts")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for name in arguments.networks:
            for zeros in arguments.zeros:
                for block_rows in arguments.block_rows:
                    target = arguments.isa or _core.ISAS[0]
                    sparse, dense = artifacts(name, zeros, block_rows, folder, target)
                    fast, slow, isa = measure(sparse, dense, arguments.isa)
                    size = len(sparse.to_bytes()) / len(dense.to_bytes())
                    print(
                        f"{name:24s}{100 * zeros:4.0f} % zeros {block_rows}x4  {isa:11s} dense {slow:7.2f} ms  "
                        f"sparse {fast:7.2f} ms  {slow / fast:5.2f}x  file {100 * size:3.0f} % of dense",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
