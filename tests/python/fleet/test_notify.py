# SPDX-License-Identifier: Apache-2.0
"""A webhook hears of every alarm that opens and closes, in order, however often it refuses."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import sqlalchemy as sa

from edgeml.fleet.notify import tell
from edgeml.fleet.store import tables as t
from edgeml.fleet.store.engine import writing
from support.small_fleet import NOW_S, RULE, small_fleet


class Webhook:
    """A server on 127.0.0.1 that keeps what it is told; `refuses` makes it answer 503."""

    def __init__(self) -> None:
        self.heard: list[dict[str, object]] = []
        self.refuses = False
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if not outer.refuses:
                    outer.heard.append(json.loads(body))
                self.send_response(503 if outer.refuses else 204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/"


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    made = Webhook()
    thread = threading.Thread(target=made.server.serve_forever)
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


def test_opened_and_closed_are_told_once_each(webhook: Webhook, tmp_path: Path) -> None:
    engine: sa.Engine = small_fleet(tmp_path / "fleet.db")
    webhook.refuses = True
    assert tell(engine, webhook.url) == 0
    webhook.refuses = False
    assert tell(engine, webhook.url) == 1
    assert tell(engine, webhook.url) == 0
    (opened,) = webhook.heard
    assert (opened["state"], opened["device"], opened["closed_s"]) == ("open", "drifting", None)
    assert (opened["rule"], opened["owner"], opened["playbook"]) == (RULE.name, RULE.owner, RULE.playbook)
    assert opened["findings"]
    with writing(engine) as connection:
        connection.execute(sa.update(t.alarm).values(closed_s=NOW_S + 9))
    assert tell(engine, webhook.url) == 1
    assert tell(engine, webhook.url) == 0
    assert [(one["state"], one["closed_s"]) for one in webhook.heard] == [("open", None), ("closed", NOW_S + 9)]


def test_nobody_listens(tmp_path: Path) -> None:
    assert tell(small_fleet(tmp_path / "fleet.db"), "http://127.0.0.1:1/") == 0
