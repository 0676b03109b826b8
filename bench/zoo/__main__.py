# SPDX-License-Identifier: Apache-2.0
"""Write networks of the zoo and data to calibrate them on.

python -m bench.zoo FOLDER                    all networks
python -m bench.zoo FOLDER resnet18 lite0     networks whose name has one of these words
python -m bench.zoo FOLDER resnet50 --zeros 0.8 --block-rows 4     with 80 % zeros in blocks of 4 x 4 weights

Writes FOLDER/NAME.onnx and FOLDER/NAME.calib.npz (`input`, 16 random pictures). Run it from the root of the repository.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

import numpy as np
import onnx

from bench.zoo import NETWORKS, build
from bench.zoo.blocks import images

CALIBRATION_IMAGES: Final = 16


def write(name: str, folder: Path, *, zeros: float, block_rows: int) -> tuple[Path, Path]:
    """Write one network and its data; returns the paths."""
    model, data = folder / f"{name}.onnx", folder / f"{name}.calib.npz"
    onnx.save(build(name, zeros=zeros, block_rows=block_rows), model)
    np.savez(data, input=images(CALIBRATION_IMAGES, 224, seed=2))
    return model, data


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where to write; made if it is not there")
    parser.add_argument("only", nargs="*", help="words of names; all networks if none is given")
    parser.add_argument("--zeros", type=float, default=0.0, help="share of zero blocks in 1x1 and 3x3 layers, 0 to 1")
    parser.add_argument("--block-rows", type=int, choices=(1, 2, 4), default=4, help="output channels of a block")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    for name in NETWORKS:
        if not arguments.only or any(word in name for word in arguments.only):
            for path in write(name, arguments.folder, zeros=arguments.zeros, block_rows=arguments.block_rows):
                print(path)


if __name__ == "__main__":
    main()
