# SPDX-License-Identifier: Apache-2.0
"""The API against its own description, with good and hostile requests; roles; requests from other sites."""

from __future__ import annotations

import pytest
import schemathesis
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from schemathesis.specs.openapi.checks import ignored_auth
from starlette.testclient import TestClient

from edgeml.fleet.dashboard.access import COOKIE
from edgeml.fleet.dashboard.api import BODY_BYTES_MAX, ENDPOINTS, Endpoint, openapi
from edgeml.fleet.dashboard.app import make_app
from edgeml.fleet.store import tables as t
from edgeml.fleet.store.engine import reading, writing
from edgeml.fleet.tokens import ROLES, add_token
from support.small_fleet import HOUR_S, NOW_S, small_fleet
from support.snapshot import snapshot


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> sa.Engine:
    made = small_fleet(tmp_path_factory.mktemp("store") / "fleet.db")
    with writing(made) as connection:
        for role in ROLES:
            add_token(connection, name=role, role=role, now_s=NOW_S, secret=secret_of(role))
    return made


@pytest.fixture
def client(engine: sa.Engine) -> TestClient:
    return TestClient(make_app(engine, period_s=HOUR_S, clock=lambda: NOW_S), follow_redirects=False)


def secret_of(role: str) -> str:
    return f"secret of the {role}"


def bearer(role: str) -> dict[str, str]:
    return {"authorization": f"Bearer {secret_of(role)}"}


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda one: f"{one.method}-{one.path}")
def test_answers_are_as_described(endpoint: Endpoint, engine: sa.Engine) -> None:
    app = make_app(engine, period_s=HOUR_S, clock=lambda: NOW_S)
    described = schemathesis.openapi.from_asgi("/api/v1/openapi.json", app, headers=bearer("releaser"))
    before = snapshot(engine)

    @settings(max_examples=20, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(case=described[f"/api/v1{endpoint.path}"][endpoint.method].as_strategy())
    def call(case: schemathesis.Case) -> None:
        case.call_and_validate(headers=bearer("releaser"), excluded_checks=[ignored_auth])  # that has its own test

    call()
    assert snapshot(engine) == before


def test_every_endpoint_asks_for_a_token_and_its_role(client: TestClient) -> None:
    for endpoint in ENDPOINTS:
        path = "/api/v1" + endpoint.path.format(tenant="acme", device="steady", name="nobody")
        assert client.request(endpoint.method, path).status_code == 401
        for role in ROLES[: ROLES.index(endpoint.role)]:
            answer = client.request(endpoint.method, path, headers=bearer(role))
            assert answer.status_code == 403
            assert endpoint.role in answer.json()["error"]
    assert client.get("/api/v1/openapi.json").status_code == 401
    assert client.get("/api/v1/openapi.json", headers=bearer("viewer")).json() == openapi(ENDPOINTS)


def test_numbers_are_those_of_the_overview(client: TestClient) -> None:
    def get(path: str) -> object:
        answer = client.get(f"/api/v1/{path}", headers=bearer("viewer"))
        assert answer.status_code == 200
        return answer.json()

    whole = get("overview")
    assert isinstance(whole, dict)
    assert get("books") == {**whole["books"], "devices": [one["book"] for one in whole["devices"]]}
    assert get("devices") == {"total": 3, "devices": whole["devices"]}
    assert get("devices?limit=1&offset=1") == {"total": 3, "devices": whole["devices"][1:2]}
    assert get("devices?state=offline") == {"total": 0, "devices": []}
    assert get("devices/acme/steady") == whole["devices"][2]
    assert get("alarms?open=false") == {"alarms": whole["alarms"]}
    assert get("models") == {"models": whole["models"]}


def test_a_token_can_be_made_used_and_revoked(client: TestClient) -> None:
    made = client.post("/api/v1/tokens", headers=bearer("releaser"), json={"name": "ci", "role": "viewer"})
    assert made.status_code == 200
    as_ci = {"authorization": f"Bearer {made.json()['token']}"}
    assert client.get("/api/v1/books", headers=as_ci).status_code == 200
    again = client.post("/api/v1/tokens", headers=bearer("releaser"), json={"name": "ci", "role": "viewer"})
    assert again.status_code == 409
    assert client.delete("/api/v1/tokens/releaser", headers=bearer("releaser")).status_code == 409
    assert client.delete("/api/v1/tokens/ci", headers=bearer("releaser")).json() == {"name": "ci"}
    assert client.get("/api/v1/books", headers=as_ci).status_code == 401
    assert client.delete("/api/v1/tokens/ci", headers=bearer("releaser")).status_code == 404


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"[" * 60_000, 400),
        (b"[]", 400),
        (b'{"name": "x"}', 400),
        (b'{"name": "x", "role": "viewer", "more": 1}', 400),
        (b'{"name": 1, "role": "viewer"}', 400),
        (b'{"name": "a b", "role": "viewer"}', 400),
        (b'{"name": "a\\n", "role": "viewer"}', 400),
        (b'{"name": "x", "role": "king"}', 400),
        (b'{"name": "\\ud800", "role": "viewer"}', 400),
        (b" " * (BODY_BYTES_MAX + 1), 413),
    ],
)
def test_bad_bodies_change_nothing(client: TestClient, engine: sa.Engine, body: bytes, status: int) -> None:
    def tokens() -> list[tuple[object, ...]]:
        with reading(engine) as connection:
            return [tuple(row) for row in connection.execute(sa.select(t.access_token))]

    before = tokens()
    answer = client.post("/api/v1/tokens", headers=bearer("releaser"), content=body)
    assert answer.status_code == status
    assert answer.json()["error"]
    assert tokens() == before


def test_another_site_cannot_use_the_cookie(client: TestClient) -> None:
    body = {"name": "evil", "role": "releaser"}
    for origin in ({}, {"origin": "http://127.0.0.1:1"}, {"origin": "null"}):
        headers = {"cookie": f"{COOKIE}={secret_of('releaser')}", **origin}
        assert client.post("/api/v1/tokens", headers=headers, json=body).status_code == 403
    headers = {"cookie": f"{COOKIE}={secret_of('releaser')}", "origin": "http://testserver"}
    assert client.post("/api/v1/tokens", headers=headers, json={**body, "name": "own"}).status_code == 200


def test_the_form_gives_a_cookie(client: TestClient) -> None:
    assert client.post("/login", data={"token": "wrong"}).status_code == 401
    assert client.post("/login", content=b"token=" + b"x" * 10_000).status_code == 401
    answer = client.post("/login", data={"token": secret_of("viewer")})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert "HttpOnly" in answer.headers["set-cookie"]
