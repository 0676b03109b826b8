# SPDX-License-Identifier: Apache-2.0
"""Hostile models and the files that fuzzing found: an error of edgeml.errors each, in a process that has little memory and time.

The child's address space is bounded by MEMORY_BYTES over what it takes after the imports; a model that takes SECONDS_MAX of CPU
time, which other programs do not lengthen, ends it by a signal. onnxruntime's and the loader's own mappings count, so the bound is
generous; a blow-up is gigabytes.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

from support.hostile_models import HOSTILE
from support.needs import REPOSITORY
from support.onnx_models import small_network

CORPUS = REPOSITORY / "tests" / "fuzz" / "onnx_corpus"
MUTANTS = 150
CHILD = """
import json, resource, signal, sys
import numpy as np
import edgeml.convert
from edgeml.errors import EdgemlError
from support.onnx_models import small_data
MEMORY_BYTES, SECONDS_MAX = 2 << 30, 10
edgeml.convert(open(sys.argv[1], "rb").read(), calibration=small_data(12))  # loads what is loaded on first use
taken = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (taken + MEMORY_BYTES, taken + MEMORY_BYTES))
for path in sys.argv[2:]:
    signal.setitimer(signal.ITIMER_PROF, SECONDS_MAX)
    print(json.dumps([path, "started"]), flush=True)
    try:
        edgeml.convert(open(path, "rb").read(), calibration=small_data(12))
        end = "converted"
    except EdgemlError as error:
        end = "refused" if "\\n" not in str(error) else "refused in several lines"
    print(json.dumps([path, end]), flush=True)
"""


def convert_all(folder: Path, paths: list[Path]) -> dict[str, str]:
    """What became of each file, by its name."""
    good = folder / "good.onnx"
    good.write_bytes(small_network().SerializeToString())
    child = subprocess.run(
        [sys.executable, "-c", CHILD, good, *paths], capture_output=True, text=True, check=False, cwd=REPOSITORY
    )
    ends = {Path(path).name: end for path, end in map(json.loads, child.stdout.splitlines())}
    assert child.returncode == 0, f"{[name for name, end in ends.items() if end == 'started']}: {child.stderr[-2000:]}"
    return ends


@pytest.fixture(autouse=True)
def child_sees_the_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", ":".join(path for path in sys.path if path))


def test_hostile_models_are_refused(tmp_path: Path) -> None:
    paths = []
    for number, make in enumerate(HOSTILE.values()):
        paths.append(tmp_path / f"{number}.onnx")
        paths[-1].write_bytes(make().SerializeToString())
    ends = convert_all(tmp_path, paths)
    accepted = [name for name, path in zip(HOSTILE, paths, strict=True) if ends[path.name] != "refused"]
    assert accepted == []


def test_found_files_give_an_artifact_or_an_error(tmp_path: Path) -> None:
    paths = sorted(CORPUS.iterdir())
    assert paths
    assert set(convert_all(tmp_path, paths).values()) <= {"converted", "refused"}


def test_mutants_give_an_artifact_or_an_error(tmp_path: Path) -> None:
    source = random.Random(5)
    data = small_network().SerializeToString()
    paths = []
    for number in range(MUTANTS):
        mutant = bytearray(data)
        for _ in range(source.choice((1, 2, 8))):
            mutant[source.randrange(len(mutant))] = source.randrange(256)
        if number % 3 == 0:
            at = source.randrange(len(mutant))
            del mutant[at : at + source.randrange(1, 40)]
        paths.append(tmp_path / f"{number}.onnx")
        paths[-1].write_bytes(bytes(mutant))
    ends = convert_all(tmp_path, paths)
    assert list(ends.values()).count("refused") > MUTANTS // 4
    assert set(ends.values()) <= {"converted", "refused"}
