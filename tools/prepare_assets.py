#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Prepare calibration and test inputs of the real models in ../shared as .npz files that edgeml takes.

    python tools/prepare_assets.py FOLDER                 all twelve models
    python tools/prepare_assets.py FOLDER kws resnet8     models whose name has one of these words

Writes FOLDER/MODEL.calib.npz (x) and FOLDER/MODEL.test.npz (x, and y where labels are known), x float32 as the model takes it.
Preprocessing follows ../shared/tools/eval_float.py. Models that run on photos, sww_dscnn1d and ad_toycar_fc_autoencoder
calibrate on the file that they are tested on, as README-assets.md does.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
SHARED: Final = Path(__file__).resolve().parents[1].parent / "shared"
CIFAR_MEAN: Final = np.array([0.485, 0.456, 0.406], np.float32)
CIFAR_STD: Final = np.array([0.229, 0.224, 0.225], np.float32)


def as_is(data: Mapping[str, Array]) -> Array:
    return data["x"].astype(np.float32)


def cifar_0_255(data: Mapping[str, Array]) -> Array:
    return nchw(data["x"])


def cifar_mean_std(data: Mapping[str, Array]) -> Array:
    return nchw((data["x"].astype(np.float32) / 255 - CIFAR_MEAN) / CIFAR_STD)


def photo_96(data: Mapping[str, Array]) -> Array:
    return nchw(data["x96"].astype(np.float32) / 255)


def photo_128(data: Mapping[str, Array]) -> Array:
    return nchw((data["x128"].astype(np.float32) - 127.5) / 127.5)


def photo_224(data: Mapping[str, Array]) -> Array:
    return nchw((data["x256"][:, 16:240, 16:240].astype(np.float32) - 127.5) / 127.5)


def photo_ultraface(data: Mapping[str, Array]) -> Array:
    return nchw((data["lb320"][:, :240].astype(np.float32) - 127) / 128)


def photo_fastestdet(data: Mapping[str, Array]) -> Array:
    photos = data["lb320"][..., ::-1].astype(np.float32) / 255
    return nchw(np.pad(photos, ((0, 0), (0, 32), (0, 32), (0, 0))))


def nchw(x: Array) -> Array:
    return np.ascontiguousarray(x.transpose(0, 3, 1, 2), dtype=np.float32)


class Asset(NamedTuple):
    """A model of ../shared, its data files, how they become the input, and the array of labels."""

    model: str
    calibration: str
    test: str
    prepare: Callable[[Mapping[str, Array]], Array]
    labels: str | None


ASSETS: Final = (
    Asset("kws_dscnn", "kws_mfcc_calib", "kws_mfcc_test_a", as_is, "y"),
    Asset("sww_dscnn1d", "sww_calib45", "sww_calib45", as_is, "y"),
    Asset("vww_mobilenetv1_025_96", "photos_a", "photos_a", photo_96, "person"),
    Asset("resnet8_cifar10", "cifar10_jpeg_calib", "cifar10_jpeg_test_a", cifar_0_255, "y"),
    Asset("resnet32_cifar10", "cifar10_jpeg_calib", "cifar10_jpeg_test_a", cifar_mean_std, "y"),
    Asset("ad_toycar_fc_autoencoder", "ad_toycar_normal_a", "ad_toycar_normal_a", as_is, None),
    Asset("mobilenetv1_025_128", "photos_a", "photos_a", photo_128, None),
    Asset("mobilenetv2_100_224", "photos_a", "photos_a", photo_224, None),
    Asset("adult_mlp", "adult_calib", "adult_test_a", as_is, "y"),
    Asset("kwt1", "kwt_feat_calib", "kwt_feat_test_a", as_is, "y"),
    Asset("fastestdet_352", "photos_a", "photos_a", photo_fastestdet, None),
    Asset("ultraface_slim320", "photos_a", "photos_a", photo_ultraface, None),
)


def prepare(asset: Asset, folder: Path) -> tuple[Path, Path]:
    """Write the two files of a model; returns their paths."""
    paths = folder / f"{asset.model}.calib.npz", folder / f"{asset.model}.test.npz"
    for path, name in zip(paths, (asset.calibration, asset.test), strict=True):
        with np.load(SHARED / "data" / f"{name}.npz") as data:
            arrays = {"x": asset.prepare(data)}
            if asset.labels in data.files:
                arrays["y"] = data[asset.labels]
        np.savez(path, **arrays)
    return paths


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where to write; made if it is not there")
    parser.add_argument("only", nargs="*", help="words of model names; all models if none is given")
    arguments = parser.parse_args()
    if not SHARED.is_dir():
        print(f"{parser.prog}: {SHARED} is not there; this tool needs the shared models and data", file=sys.stderr)
        return 2
    arguments.folder.mkdir(parents=True, exist_ok=True)
    for asset in ASSETS:
        if not arguments.only or any(word in asset.model for word in arguments.only):
            for path in prepare(asset, arguments.folder):
                print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
