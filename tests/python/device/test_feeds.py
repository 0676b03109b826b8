# SPDX-License-Identifier: Apache-2.0
"""Feeds from .npz files and from a user's function."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edgeml.device.feeds import function_feeds, npz_feeds
from edgeml.errors import InputError, UsageError

if TYPE_CHECKING:
    from pathlib import Path


@dataclass
class Spec:
    name: str
    shape: list[int | str]


ONE = [Spec("image", ["N", 2])]


def test_samples_in_name_order_in_a_loop(tmp_path: Path) -> None:
    np.savez(tmp_path / "b.npz", x=np.array([[5, 6]], dtype=np.float32))
    np.savez(tmp_path / "a.npz", image=np.array([[1, 2], [3, 4]], dtype=np.float32), y=np.zeros(7))
    feeds = list(itertools.islice(npz_feeds(tmp_path, ONE), 5))
    assert [feed["image"].tolist() for feed in feeds] == [[[1, 2]], [[3, 4]], [[5, 6]], [[1, 2]], [[3, 4]]]
    assert all(feed.keys() == {"image"} for feed in feeds)


def test_a_fixed_batch_takes_as_many(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", image=np.arange(10, dtype=np.float32).reshape(5, 2))
    feeds = list(itertools.islice(npz_feeds(tmp_path, [Spec("image", [2, 2])]), 3))
    assert [feed["image"][0, 0] for feed in feeds] == [0, 4, 0]


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 not really", b"\x93NUMPY" + b"\0" * 40])
def test_a_file_that_is_no_npz(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.npz"):
        next(npz_feeds(tmp_path, ONE))


def test_files_that_do_not_fit(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no \.npz files"):
        npz_feeds(tmp_path, ONE)
    np.savez(tmp_path / "a.npz", other=np.zeros((1, 2)))
    with pytest.raises(InputError, match="no array named 'image' or 'x'; it has other"):
        next(npz_feeds(tmp_path, ONE))
    np.savez(tmp_path / "a.npz", x=np.zeros((1, 2)), image=np.zeros((1, 2)))
    with pytest.raises(InputError, match="no array named 'mask'"):
        next(npz_feeds(tmp_path, [*ONE, Spec("mask", ["N", 2])]))
    np.savez(tmp_path / "a.npz", x=np.float32(1))
    with pytest.raises(InputError, match="batch axis"):
        next(npz_feeds(tmp_path, ONE))
    np.savez(tmp_path / "a.npz", x=np.zeros((0, 2)))
    with pytest.raises(InputError, match="0 samples"):
        next(npz_feeds(tmp_path, ONE))
    np.savez(tmp_path / "a.npz", x=np.array([object()], dtype=object))
    with pytest.raises(InputError, match=r"a\.npz"):
        next(npz_feeds(tmp_path, ONE))


def test_a_function_beside_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "camera_of_test.py").write_text(
        "def frames():\n    yield {'image': 1}\n    yield {'image': 2}\nsize = 3\n"
    )
    assert list(function_feeds("camera_of_test:frames", tmp_path)) == [{"image": 1}, {"image": 2}]
    with pytest.raises(UsageError, match="no function 'size'"):
        function_feeds("camera_of_test:size", tmp_path)
    with pytest.raises(UsageError, match="nowhere_at_all"):
        function_feeds("nowhere_at_all:frames", tmp_path)
    for source in ("", "module", ":function", "module:", "module:a-b"):
        with pytest.raises(UsageError, match="module:function"):
            function_feeds(source, tmp_path)
