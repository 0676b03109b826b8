# SPDX-License-Identifier: Apache-2.0
"""The footprint of edgeml on this machine: wheel, installed size, import, load, memory, CPU of an idle session.

    python bench/footprint.py MODEL.edgeml [--wheel edgeml-*.whl]

Every time and size of memory is taken in fresh child processes, edgeml and its baseline (Python with numpy) in turn, the median of
`--rounds`. Memory is the resident set (Rss of /proc/self/smaps_rollup). Load is given as wall-clock time and as CPU time: with the file
in the page cache they differ by what other processes take of the core. Installed size is what the wheel unpacks to. Prints a table.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from statistics import median

MEMORY = """
def resident_kb():
    lines = open("/proc/self/smaps_rollup").read().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Rss:"))
"""
IMPORT = """
import numpy, time
start = time.perf_counter(), time.process_time()
import edgeml
print((time.perf_counter() - start[0]) * 1e3, (time.process_time() - start[1]) * 1e3)
"""
NUMPY_KB = MEMORY + "import numpy; x = numpy.zeros(1 << 18, numpy.float32); print(resident_kb())"
LOAD = """
import sys, time, edgeml
wall, cpu = [], []
for _ in range(20):
    start = time.perf_counter(), time.process_time()
    session = edgeml.InferenceSession(sys.argv[1], threads=1)
    wall.append((time.perf_counter() - start[0]) * 1e3)
    cpu.append((time.process_time() - start[1]) * 1e3)
    del session
print(sorted(wall)[10], sorted(cpu)[10])
"""
SESSION = (
    MEMORY
    + """
import sys, time, numpy, edgeml
x = numpy.zeros(1 << 18, numpy.float32)
imported = resident_kb()
session = edgeml.InferenceSession(sys.argv[1], threads=int(sys.argv[2]))
feed = {s.name: numpy.zeros([1 if n == "N" else n for n in s.shape], s.dtype) for s in session.get_inputs()}
bound = session.bind(feed)
for _ in range(10):
    bound()
loaded = resident_kb()
arrays = sum(a.nbytes for a in (*bound.inputs.values(), *bound.outputs.values()))
cpu = time.process_time()
time.sleep(1)
idle = 100 * (time.process_time() - cpu)
core = session._core
print(imported, loaded, arrays, core.packed_weight_bytes, core.arena_bytes, idle)
"""
)


def child(code: str, *arguments: object) -> list[float]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    output = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ).stdout
    return [float(word) for word in output.split()]


def medians(code: str, rounds: int, *arguments: object) -> list[float]:
    return [median(column) for column in zip(*(child(code, *arguments) for _ in range(rounds)), strict=True)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", metavar="MODEL.edgeml", type=Path)
    parser.add_argument("--wheel", type=Path, help="a wheel; without one its rows are left out")
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    rows: list[tuple[str, str, str]] = []
    if args.wheel is not None:
        with zipfile.ZipFile(args.wheel) as wheel:
            installed = sum(entry.file_size for entry in wheel.infolist())
        rows.append(("wheel", f"{args.wheel.stat().st_size / 1e6:.2f} MB", "2 MB"))
        rows.append(("installed", f"{installed / 1e6:.2f} MB", "6 MB"))
    wall_ms, cpu_ms = medians(IMPORT, args.rounds)
    rows.append(("import edgeml over numpy, wall-clock / CPU", f"{wall_ms:.1f} / {cpu_ms:.1f} ms", "30 ms"))
    wall_ms, cpu_ms = medians(LOAD, args.rounds, args.model)
    what = f"load of {args.model.name}, {args.model.stat().st_size / 1e6:.2f} MB, warm, wall-clock / CPU"
    rows.append((what, f"{wall_ms:.2f} / {cpu_ms:.2f} ms", "5 ms"))
    (numpy_kb,) = medians(NUMPY_KB, args.rounds)
    for threads in (1, 2):
        imported, loaded, arrays, weights, arena, idle = medians(SESSION, args.rounds, args.model, threads)
        needed = (weights + arena + arrays) / 1024
        over = loaded - numpy_kb - needed
        what = f"{weights / 1e6:.2f} MB weights + {arena / 1e6:.2f} MB arena + {arrays / 1e6:.2f} MB arrays"
        rows.append(
            (f"memory over Python and numpy beyond {what}, {threads} thread(s)", f"{over / 1024:.2f} MB", "2 MB")
        )
        rows.append((f"... of which import edgeml, {threads} thread(s)", f"{(imported - numpy_kb) / 1024:.2f} MB", ""))
        rows.append((f"CPU of an idle session, {threads} thread(s)", f"{idle:.2f} %", "0 %"))
    print("| what | measured | at most |\n|---|---|---|")
    for row in rows:
        print("| " + " | ".join(row) + " |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
