# SPDX-License-Identifier: Apache-2.0
"""Topic names and what is none."""

from __future__ import annotations

import pytest

from edgeml.errors import UsageError, WireError
from edgeml.telemetry.topics import Topic, parse_topic, topic


@pytest.mark.parametrize("channel", ["birth", "tel", "evt", "lwt", "ack"])
def test_parses_what_it_makes(channel: str) -> None:
    text = topic("acme", "dev-1.a_B", channel)
    assert parse_topic(text) == Topic(tenant="acme", device="dev-1.a_B", channel=channel)


def test_names() -> None:
    assert topic("acme", "d1", "tel") == "edgeml/v1/acme/d1/up/tel"
    assert topic("acme", "d1", "ack") == "edgeml/v1/acme/d1/down/ack"


@pytest.mark.parametrize("name", ["", "a/b", "+", "#", "a b", "ä", "x" * 65, "a\n", "\0"])
def test_refuses_a_name(name: str) -> None:
    with pytest.raises(UsageError):
        topic(name, "d1", "tel")
    with pytest.raises(UsageError):
        topic("acme", name, "tel")


def test_refuses_a_channel() -> None:
    with pytest.raises(UsageError):
        topic("acme", "d1", "agg")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "edgeml/v1/acme/d1/up",
        "edgeml/v1/acme/d1/up/tel/x",
        "edgeml/v2/acme/d1/up/tel",
        "edgeml/v1/acme/d1/down/tel",
        "edgeml/v1/acme/d1/up/ack",
        "edgeml/v1/acme//up/tel",
        "edgeml/v1/acme/d\u0301/up/tel",
        "edgeml/v1/acme/d1\n/up/tel",
    ],
)
def test_refuses_a_topic(text: str) -> None:
    with pytest.raises(WireError):
        parse_topic(text)
