# SPDX-License-Identifier: Apache-2.0
"""Pages, their JSON twin, metrics and access; the numbers on the page are those of the store, in a real browser too."""

from __future__ import annotations

import html
import re
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
import uvicorn
from starlette.testclient import TestClient

from edgeml.fleet.broker import bind
from edgeml.fleet.dashboard.access import COOKIE
from edgeml.fleet.dashboard.app import Updates, make_app
from edgeml.fleet.store import tables as t
from edgeml.fleet.store.engine import open_store, reading, writing
from edgeml.fleet.tokens import add_token
from edgeml.fleet.update_repository import UpdateRepository
from support.chromium import dump_dom, screenshot
from support.small_fleet import HOSTILE_TEXT, HOUR_S, NOW_S, small_fleet

TOKEN = "a token that only this test knows"  # noqa: S105  of these tests only
AS_PROGRAM = {"authorization": f"Bearer {TOKEN}"}
AS_BROWSER = {**AS_PROGRAM, "accept": "text/html"}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> sa.Engine:
    return with_token(small_fleet(tmp_path_factory.mktemp("store") / "fleet.db"))


def with_token(engine: sa.Engine) -> sa.Engine:
    with writing(engine) as connection:
        add_token(connection, name="test", role="viewer", now_s=NOW_S, secret=TOKEN)
    return engine


@pytest.fixture
def client(engine: sa.Engine) -> TestClient:
    return TestClient(make_app(engine, period_s=HOUR_S, clock=lambda: NOW_S), follow_redirects=False)


def in_store(engine: sa.Engine) -> dict[str, int]:
    """Count what the page claims, without the code of the page."""
    with reading(engine) as connection:
        one = lambda query: int(connection.exec_driver_sql(query).scalar_one())  # noqa: E731
        return {
            "stored": one("SELECT count(*) FROM window"),
            "produced": one("SELECT sum(produced) FROM epoch"),
            "unaccounted": one(
                "SELECT sum(spool_from - 1 - (SELECT count(*) FROM window WHERE epoch_id = epoch.id"
                " AND seq < epoch.spool_from)) FROM epoch"
            ),
            "alarms-open": one("SELECT count(*) FROM alarm WHERE closed_s IS NULL"),
            "online": one("SELECT count(*) FROM device WHERE online"),
            "quarantined": one("SELECT value FROM counter WHERE name = 'messages_quarantined'"),
        }


def on_page(page: str) -> dict[str, int]:
    found = re.findall(r'id="(stored|produced|unaccounted|alarms-open|online|quarantined)">([\d,]+)<', page)
    return {name: int(number.replace(",", "")) for name, number in found}


def test_numbers_on_the_page_are_those_of_the_store(client: TestClient, engine: sa.Engine) -> None:
    truth = in_store(engine)
    assert truth["unaccounted"] == 5
    assert truth["alarms-open"] == 1
    assert on_page(client.get("/", headers=AS_BROWSER).text) == truth


def test_json_twin_has_the_same_numbers(client: TestClient, engine: sa.Engine) -> None:
    truth = in_store(engine)
    document = client.get("/api/v1/overview", headers=AS_PROGRAM).json()
    assert document["books"] == {
        "stored": truth["stored"],
        "produced": truth["produced"],
        "unaccounted": 5,
        "waiting": truth["produced"] - truth["stored"] - 5,
        "lost": 0,
    }
    assert {d["device"]: d["book"]["unaccounted"] for d in document["devices"]} == {
        "drifting": 0,
        "lossy": 5,
        "steady": 0,
    }
    assert [(a["device"], a["closed_s"]) for a in document["alarms"]] == [("drifting", None)]
    with reading(engine) as connection:
        rows = connection.execute(sa.select(t.device.c.name, t.drift).join(t.device)).all()
    newest = {row.name: max(one.period_start_s for one in rows if one.name == row.name) for row in rows}
    assert {(one["device"], one["period_start_s"], one["psi"]) for one in document["drift"]} == {
        (row.name, row.period_start_s, row.psi) for row in rows if row.period_start_s == newest[row.name]
    }
    worst: dict[tuple[str, int], float] = {}
    for row in rows:
        worst[row.name, row.period_start_s] = max(row.psi, worst.get((row.name, row.period_start_s), 0.0))
    assert {(one["device"], one["period_start_s"]): one["psi_max"] for one in document["history"]} == worst


def test_metrics_have_the_same_numbers(client: TestClient, engine: sa.Engine) -> None:
    truth = in_store(engine)
    text = client.get("/metrics", headers=AS_PROGRAM).text
    values = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert float(values["edgeml_windows_stored_total"]) == truth["stored"]
    assert float(values["edgeml_windows_unaccounted"]) == 5
    assert float(values["edgeml_alarms_open"]) == 1
    assert float(values["edgeml_messages_quarantined_total"]) == 1
    assert float(values['edgeml_device_epsilon_spent{device="steady",tenant="acme"}']) == 2.5
    drift = {
        row["feature"]: row
        for row in client.get("/api/v1/overview", headers=AS_PROGRAM).json()["drift"]
        if row["device"] == "drifting"
    }
    for feature, row in drift.items():  # the last row of a feature is that of the newest period
        assert float(values[f'edgeml_drift_psi{{device="drifting",feature="{feature}",tenant="acme"}}']) == row["psi"]


@pytest.mark.parametrize("path", ["/", "/models", "/device/acme/steady", "/device/acme/drifting"])
def test_text_of_devices_is_escaped(client: TestClient, path: str) -> None:
    page = client.get(path, headers=AS_BROWSER)
    assert page.status_code == 200
    assert "<script>alert" not in page.text
    assert html.escape(HOSTILE_TEXT, quote=False).split('"')[0] in page.text or path == "/device/acme/drifting"
    assert "script-src 'self'" in page.headers["content-security-policy"]


def test_device_page_shows_histograms_and_events(client: TestClient) -> None:
    page = client.get("/device/acme/steady", headers=AS_BROWSER).text
    assert page.count("<figure>") == 4
    assert "no reference" in page
    assert "budget_spent" in page
    assert "2.5 of 24" in page


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/", {}),
        ("/", {"authorization": "Bearer wrong"}),
        ("/", {"authorization": f"Basic {TOKEN}"}),
        ("/?token=wrong", {}),
        ("/", {"cookie": f"{COOKIE}=wrong"}),
        ("/metrics", {}),
        ("/api/v1/overview", {}),
        ("/device/acme/steady", {}),
        ("/nothing", {}),
        ("/static/../fleet.token", {}),
        ("/healthz/../metrics", {}),
    ],
)
def test_without_the_token_there_is_nothing(client: TestClient, path: str, headers: dict[str, str]) -> None:
    answer = client.get(path, headers=headers)
    assert answer.status_code in (401, 404)
    assert "steady" not in answer.text
    asked = client.get(path, headers={**headers, "accept": "text/html"})
    assert asked.status_code in (401, 404)
    assert "steady" not in asked.text


@pytest.mark.parametrize("host", ["testserver", "testserver/updates/", "testserver/updates/?"])
def test_the_token_of_devices_opens_the_updates_alone(engine: sa.Engine, tmp_path: Path, host: str) -> None:
    shelf = UpdateRepository(tmp_path / "updates")
    shelf.create(NOW_S)
    updates = Updates(repository=shelf, token="token of the devices")  # noqa: S106  of these tests only
    client = TestClient(make_app(engine, period_s=HOUR_S, clock=lambda: NOW_S, updates=updates))
    as_device = {"authorization": f"Bearer {updates.token}", "host": host}
    assert client.get("/updates/metadata/1.root.json", headers=as_device).content == shelf.root_bytes()
    assert client.get("/updates/keys/targets.key", headers=as_device).status_code == 404
    assert client.get("/updates/metadata/1.root.json").status_code == 401
    for path in ("/", "/metrics", "/models", "/api/v1/overview", "/updates"):
        assert client.get(path, headers=as_device).status_code == 401


def test_open_paths(client: TestClient) -> None:
    assert client.get("/healthz").text == "ok\n"
    assert client.get("/static/style.css").status_code == 200
    assert client.get("/static/nothing.css").status_code == 404


def test_token_in_the_address_becomes_a_cookie(client: TestClient) -> None:
    answer = client.get(f"//evil.example/?a=1&token={TOKEN}")
    assert answer.status_code in (303, 401)
    answer = client.get(f"/models?a=1&token={TOKEN}")
    assert (answer.status_code, answer.headers["location"]) == (303, "/models?a=1")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert client.get("/models").status_code == 200


def test_unknown_device_and_page(client: TestClient) -> None:
    for path in ("/device/acme/nobody", "/nothing"):
        answer = client.get(path, headers=AS_BROWSER)
        assert answer.status_code == 404
        assert "Not found" in answer.text
    assert client.get("/api/nothing", headers=AS_PROGRAM).json() == {"error": "not found"}


def test_empty_store_has_a_page(tmp_path: Path) -> None:
    empty = with_token(open_store(f"sqlite:///{tmp_path / 'fleet.db'}"))
    client = TestClient(make_app(empty, period_s=HOUR_S))
    page = client.get("/", headers=AS_BROWSER)
    assert page.status_code == 200
    assert on_page(page.text)["unaccounted"] == 0
    assert "No device has reported yet" in page.text
    assert client.get("/metrics", headers=AS_PROGRAM).status_code == 200


@pytest.fixture
def address(engine: sa.Engine) -> Iterator[str]:
    listener = bind("127.0.0.1", 0, "the test")
    app = make_app(engine, period_s=HOUR_S, clock=lambda: NOW_S)
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}/?token={TOKEN.replace(' ', '+')}"
    server.should_exit = True
    thread.join()


@pytest.mark.needs_program("chromium", "chromium-browser", "google-chrome")
def test_browser_shows_the_numbers_of_the_store(address: str, engine: sa.Engine, tmp_path: Path) -> None:
    page = dump_dom(address, tmp_path)
    assert on_page(page) == in_store(engine)
    assert page.count('class="heat-4"') + page.count('class="heat-3"') >= 3  # the drifting device's features


@pytest.mark.needs_program("chromium", "chromium-browser", "google-chrome")
@pytest.mark.parametrize("width", [1280, 390])
def test_picture_at_desktop_and_phone_width(address: str, tmp_path: Path, width: int) -> None:
    data = screenshot(address, tmp_path, width=width, height=900).read_bytes()
    assert struct.unpack(">II", data[16:24]) == (width, 900)
    assert len(data) > 20_000  # a page that failed to load is nearly one colour


def test_many_ask_at_once(client: TestClient) -> None:
    pages: list[str] = []
    threads = [
        threading.Thread(target=lambda: pages.append(client.get("/", headers=AS_BROWSER).text)) for _ in range(10)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(pages) == 10
    assert len({str(sorted(on_page(page).items())) for page in pages}) == 1
