# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from edgeml.errors import FleetError
from edgeml.fleet.broker import EmbeddedBroker, bind


def test_port_in_use_is_one_sentence() -> None:
    taken = bind("127.0.0.1", 0, "the test")
    port = taken.getsockname()[1]
    with pytest.raises(FleetError, match=f"the embedded broker cannot listen on 127.0.0.1:{port}: Address already in"):
        EmbeddedBroker("127.0.0.1", port)
    taken.close()


@pytest.mark.parametrize(("host", "port"), [("203.0.113.1", 0), ("127.0.0.1", 70_000), ("no host", 0)])
def test_impossible_address(host: str, port: int) -> None:
    with pytest.raises(FleetError, match="cannot listen"):
        bind(host, port, "the test")
