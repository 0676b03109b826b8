#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Trains the small convolutional network of `edgeml demo` on scikit-learn's digits and writes it as ONNX.

Plain numpy, one thread, a fixed seed: the same machine writes the same bytes. Under a minute. Run from the repository:

    PYTHONPATH=python python tools/train_digits.py            # writes python/edgeml/demo/digits.onnx
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

import numpy as np
from threadpoolctl import threadpool_limits

from edgeml.demo import digits
from edgeml.demo.network import accuracy, build, to_onnx, train

SEED: Final = 7


def main() -> None:
    """Train, report the accuracies, write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, default=digits.ONNX_PATH)
    output = parser.parse_args().output
    generator = np.random.default_rng(SEED)
    with threadpool_limits(1):  # the order of additions in a product depends on the number of threads
        network = build(generator)
        train(network, digits.load("train"), generator)
        for part in digits.PARTS:
            data = digits.load(part)
            print(f"{part}: {len(data.y)} digits, accuracy {accuracy(network, data):.4f}")
        parameters = sum(w.size for layer in network for w in layer.weights)
        print(f"{parameters} parameters")
    output.write_bytes(to_onnx(network).SerializeToString(deterministic=True))


if __name__ == "__main__":
    main()
