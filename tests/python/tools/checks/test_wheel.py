# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from checks.wheel import WHEEL_BYTES_MAX, complaints_about

SOURCES = ["python/edgeml/__init__.py", "python/edgeml/py.typed"]
MEMBERS = [
    "edgeml/__init__.py",
    "edgeml/py.typed",
    "edgeml/_core.cpython-311-x86_64-linux-gnu.so",
    "edgeml-1.dist-info/METADATA",
]


def test_wheel_of_the_package_and_its_module_passes() -> None:
    assert complaints_about(MEMBERS, WHEEL_BYTES_MAX, SOURCES) == []


def test_large_wheel_is_a_complaint() -> None:
    (complaint,) = complaints_about(MEMBERS, WHEEL_BYTES_MAX + 1, SOURCES)
    assert str(WHEEL_BYTES_MAX) in complaint


def test_missing_and_extra_files_are_named() -> None:
    members = [*MEMBERS[1:], "edgeml/include/core.h"]
    missing, extra = complaints_about(members, 1, SOURCES)
    assert "edgeml/__init__.py" in missing
    assert "edgeml/include/core.h" in extra


def test_wheel_without_the_module_is_a_complaint() -> None:
    (complaint,) = complaints_about([m for m in MEMBERS if "_core" not in m], 1, SOURCES)
    assert "_core" in complaint
