# SPDX-License-Identifier: Apache-2.0
"""Markers `needs_program` and `needs_shared`, and the seeds of the tests' randomness.

@pytest.mark.needs_program("mosquitto")              # any one of the names given; need_program() gives the path
@pytest.mark.needs_shared("models/kws_dscnn.onnx")   # every file given; need_shared() gives the path
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from support.needs import need_program, need_shared
from support.postgresql import PostgreSQL, postgresql
from support.stores import KINDS, NewStore, new_store_of


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers, so that a misspelt one is an error under --strict-markers."""
    config.addinivalue_line("markers", "needs_program(*names): one of these programs must be installed")
    config.addinivalue_line("markers", "needs_shared(*paths): these files of ../shared must be there")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip or fail a test whose needs are not met."""
    for marker in item.iter_markers("needs_program"):
        need_program(*marker.args)
    for marker in item.iter_markers("needs_shared"):
        for relative in marker.args:
            need_shared(relative)


@pytest.fixture
def rng() -> np.random.Generator:
    """Random numbers that are the same in every run."""
    return np.random.default_rng(20240229)


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[PostgreSQL]:
    """One PostgreSQL server for all tests; skips those that need it where it is not installed."""
    with postgresql() as server:
        yield server


@pytest.fixture(params=KINDS)
def new_store(request: pytest.FixtureRequest, tmp_path: Path) -> NewStore:
    """Gives URLs of empty stores; a test that asks for it runs on every kind of database."""
    kind = str(request.param)
    server = request.getfixturevalue("postgresql_server") if kind == "postgresql" else None
    return new_store_of(kind, tmp_path, server)
