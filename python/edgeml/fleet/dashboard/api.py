# SPDX-License-Identifier: Apache-2.0
"""The HTTP API: one table of endpoints, from which routes, checks and the OpenAPI document are made."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import sqlalchemy as sa
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from edgeml.errors import FleetError
from edgeml.fleet import audit
from edgeml.fleet.books import Book, books, totals
from edgeml.fleet.dashboard.json_schema import schema_of
from edgeml.fleet.overview import (
    Alarm,
    Device,
    Drift,
    Model,
    Overview,
    devices_of,
    devices_to_look_at,
    drift_of_device,
    id_of_device,
    open_and_closed_alarms,
    overview,
    page_of_devices,
)
from edgeml.fleet.rollout.board import RolloutState, rollouts
from edgeml.fleet.rollout.driver import is_frozen
from edgeml.fleet.store.engine import reading, writing
from edgeml.fleet.tokens import ROLES, Actor, Token, add_token, list_tokens, revoke_token

BODY_BYTES_MAX: Final = 64 << 10
INTEGER: Final = re.compile(r"-?[0-9]{1,18}")
ERROR: Final = {"type": "object", "properties": {"error": {"type": "string"}}, "required": ["error"]}
NAME: Final = {"type": "string", "minLength": 1, "maxLength": 64, "pattern": "^[A-Za-z0-9._@-]+$"}
LIMIT: Final = {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100}
OFFSET: Final = {"type": "integer", "minimum": 0, "maximum": 10_000_000, "default": 0}


class RefusedError(Exception):
    """A request that cannot be done: a status and a sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


@dataclass(frozen=True, kw_only=True)
class Call:
    """A checked request: path and query values by name, body fields, who asks, and when."""

    connection: sa.Connection
    values: dict[str, Any]
    actor: Actor
    now_s: int
    period_s: int

    def state(self, device_ids: Sequence[int] | None = None) -> Overview:
        """Read the overview with these devices; None: those that a page shows."""
        shown = devices_to_look_at(self.connection, now_s=self.now_s) if device_ids is None else device_ids
        return overview(self.connection, now_s=self.now_s, period_s=self.period_s, device_ids=shown)

    def page(self, state: str = "any") -> tuple[int, list[int]]:
        """How many devices there are, and the ids of those that `limit` and `offset` ask for."""
        part = {name: self.values[name] for name in ("offset", "limit")}
        return page_of_devices(self.connection, state=state, now_s=self.now_s, **part)

    def device_id(self) -> int:
        """Row of the device that the path names."""
        tenant, device = self.values["tenant"], self.values["device"]
        found = id_of_device(self.connection, tenant, device)
        if found is None:
            raise RefusedError(404, f"there is no device {tenant}/{device}")
        return found


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """One operation. Schemas are JSON schemas; `path` has its parameters in braces."""

    method: str
    path: str
    role: str
    summary: str
    answer: dict[str, Any]
    handler: Callable[[Call], Any]
    query: dict[str, dict[str, Any]] = field(default_factory=dict)
    body: dict[str, dict[str, Any]] = field(default_factory=dict)
    fails: tuple[int, ...] = ()  # besides 400, 401 and 403

    @property
    def path_names(self) -> list[str]:
        """Parameters in the path."""
        return re.findall(r"{(\w+)}", self.path)


def _overview(call: Call) -> Any:
    return overview_document(call.state())


def overview_document(state: Overview) -> dict[str, Any]:
    """Turn the overview into plain JSON values, with the sums that the page shows."""
    return {"books": _sums(state), **asdict(state)}


def _sums(state: Overview) -> dict[str, int]:
    return {name: getattr(state, name) for name in ("produced", "stored", "waiting", "lost", "unaccounted")}


def _books(call: Call) -> Any:
    _, ids = call.page()
    return {**asdict(totals(call.connection)), "devices": [asdict(one) for one in books(call.connection, ids)]}


def _part(rows: list[Any], call: Call) -> list[Any]:
    offset, limit = call.values["offset"], call.values["limit"]
    return rows[offset : offset + limit]


def _devices(call: Call) -> Any:
    total, ids = call.page(call.values["state"])
    found = devices_of(call.connection, ids, open_and_closed_alarms(call.connection), call.now_s)
    return {"total": total, "devices": [asdict(one) for one in found]}


def _device(call: Call) -> Any:
    alarms = open_and_closed_alarms(call.connection)
    (found,) = devices_of(call.connection, [call.device_id()], alarms, call.now_s)
    return asdict(found)


def _device_drift(call: Call) -> Any:
    call.device_id()
    tests = drift_of_device(call.connection, call.values["tenant"], call.values["device"])
    return {"drift": [asdict(one) for one in tests]}


def _drift(call: Call) -> Any:
    worst = sorted(call.state().drift, key=lambda one: (one.p_value, -one.psi))
    return {"drift": _part([asdict(one) for one in worst], call)}


def _alarms(call: Call) -> Any:
    alarms = open_and_closed_alarms(call.connection)
    return {"alarms": [asdict(one) for one in alarms if one.closed_s is None or not call.values["open"]]}


def _models(call: Call) -> Any:
    return {"models": [asdict(one) for one in call.state().models]}


def _rollouts(call: Call) -> Any:
    known = [one.document() for one in rollouts(call.connection)]
    return {"frozen": is_frozen(call.connection), "rollouts": known}


def _tokens(call: Call) -> Any:
    return {"tokens": [asdict(one) for one in list_tokens(call.connection)]}


def _add_token(call: Call) -> Any:
    name, role = call.values["name"], call.values["role"]
    if any(one.name == name for one in list_tokens(call.connection)):
        raise RefusedError(409, f"there is, or was, a token {name!r}")
    secret = add_token(call.connection, name=name, role=role, now_s=call.now_s)
    _log(call, "added", name, role=role)
    return {"name": name, "role": role, "token": secret}


def _revoke_token(call: Call) -> Any:
    name = call.values["name"]
    if name == call.actor.name:
        raise RefusedError(409, "a token cannot revoke itself")
    try:
        revoke_token(call.connection, name=name, now_s=call.now_s)
    except FleetError as error:
        raise RefusedError(404, str(error)) from error
    _log(call, "revoked", name)
    return {"name": name}


def _log(call: Call, what: str, name: str, **detail: Any) -> None:
    """Note a change of tokens in the audit log."""
    detail = {"change": what, **detail}
    audit.append(
        call.connection, "operator", f"token:{name}", detail, actor=f"token:{call.actor.name}", time_s=call.now_s
    )


def _object(**properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": sorted(properties)}


def _list_of(kind: Any) -> dict[str, Any]:
    return schema_of(list[kind])


COUNTS: Final = {name: {"type": "integer"} for name in ("produced", "stored", "waiting", "lost", "unaccounted")}
PAGE: Final = {"limit": LIMIT, "offset": OFFSET}
STATE: Final = {"type": "string", "enum": ["any", "online", "silent", "offline"], "default": "any"}
OPEN: Final = {"type": "boolean", "default": True}

ENDPOINTS: Final = (
    Endpoint(
        method="GET",
        path="/overview",
        role="viewer",
        summary="The state of the whole fleet: what the first page shows",
        answer={**schema_of(Overview), "required": ["books", "devices", "alarms"]},
        handler=_overview,
    ),
    Endpoint(
        method="GET",
        path="/books",
        role="viewer",
        summary="Windows produced, stored, waiting, lost and unaccounted; unaccounted must be 0",
        answer=_object(**COUNTS, devices=_list_of(Book)),
        handler=_books,
        query=PAGE,
    ),
    Endpoint(
        method="GET",
        path="/devices",
        role="viewer",
        summary="Devices by name",
        answer=_object(total={"type": "integer"}, devices=_list_of(Device)),
        handler=_devices,
        query={**PAGE, "state": STATE},
    ),
    Endpoint(
        method="GET",
        path="/devices/{tenant}/{device}",
        role="viewer",
        summary="One device",
        answer=schema_of(Device),
        handler=_device,
        fails=(404,),
    ),
    Endpoint(
        method="GET",
        path="/devices/{tenant}/{device}/drift",
        role="viewer",
        summary="Drift tests of the newest periods of one device",
        answer=_object(drift=_list_of(Drift)),
        handler=_device_drift,
        fails=(404,),
    ),
    Endpoint(
        method="GET",
        path="/drift",
        role="viewer",
        summary="Drift tests of the newest period of the devices that need people most, least likely first",
        answer=_object(drift=_list_of(Drift)),
        handler=_drift,
        query=PAGE,
    ),
    Endpoint(
        method="GET",
        path="/alarms",
        role="viewer",
        summary="Alarms, newest first",
        answer=_object(alarms=_list_of(Alarm)),
        handler=_alarms,
        query={"open": OPEN},
    ),
    Endpoint(
        method="GET",
        path="/models",
        role="viewer",
        summary="Models of the registry",
        answer=_object(models=_list_of(Model)),
        handler=_models,
    ),
    Endpoint(
        method="GET",
        path="/rollouts",
        role="viewer",
        summary="The newest rollouts: waves, states of their devices, and the evidence of each gate",
        answer=_object(frozen={"type": "boolean"}, rollouts=_list_of(RolloutState)),
        handler=_rollouts,
    ),
    Endpoint(
        method="GET",
        path="/tokens",
        role="releaser",
        summary="Tokens, without their secrets",
        answer=_object(tokens=_list_of(Token)),
        handler=_tokens,
    ),
    Endpoint(
        method="POST",
        path="/tokens",
        role="releaser",
        summary="Make a token; its secret is told once",
        answer=_object(name={"type": "string"}, role={"type": "string"}, token={"type": "string"}),
        handler=_add_token,
        body={"name": NAME, "role": {"type": "string", "enum": list(ROLES)}},
        fails=(409,),
    ),
    Endpoint(
        method="DELETE",
        path="/tokens/{name}",
        role="releaser",
        summary="Revoke a token",
        answer=_object(name={"type": "string"}),
        handler=_revoke_token,
        fails=(404, 409),
    ),
)


def routes(engine: sa.Engine, period_s: int, clock: Callable[[], float]) -> list[Route]:
    """Routes of the endpoints, and of their description."""
    made: list[Route] = []
    for path in dict.fromkeys(endpoint.path for endpoint in ENDPOINTS):
        of_path = {endpoint.method: endpoint for endpoint in ENDPOINTS if endpoint.path == path}
        made.append(Route(f"/api/v1{path}", _Dispatch(engine, period_s, clock, of_path), methods=sorted(of_path)))
    document = openapi(ENDPOINTS)
    made.append(Route("/api/v1/openapi.json", lambda _request: JSONResponse(document)))
    return made


class _Dispatch:
    """ASGI application of one path: checks a request, runs its handler in one transaction."""

    def __init__(
        self, engine: sa.Engine, period_s: int, clock: Callable[[], float], of_path: dict[str, Endpoint]
    ) -> None:
        self._engine = engine
        self._period_s = period_s
        self._clock = clock
        self._of_path = of_path

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        request = Request(scope, receive)
        try:
            answer = await self._answer(request)
        except RefusedError as error:
            answer = JSONResponse({"error": str(error)}, status_code=error.status)
        await answer(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        endpoint = self._of_path["GET" if request.method == "HEAD" else request.method]
        actor: Actor = request.state.actor
        if not actor.may(endpoint.role):
            raise RefusedError(403, f"this needs the role {endpoint.role}, the token {actor.name} is of a {actor.role}")
        values = {name: _value(name, request.path_params[name], NAME) for name in endpoint.path_names}
        values |= _query(request, endpoint)
        values |= _body(await _read(request), endpoint) if endpoint.body else {}
        return JSONResponse(await run_in_threadpool(self._run, endpoint, values, actor))

    def _run(self, endpoint: Endpoint, values: dict[str, Any], actor: Actor) -> Any:
        transaction = reading if endpoint.method == "GET" else writing
        with transaction(self._engine) as connection:
            call = Call(
                connection=connection, values=values, actor=actor, now_s=int(self._clock()), period_s=self._period_s
            )
            return endpoint.handler(call)


def _query(request: Request, endpoint: Endpoint) -> dict[str, Any]:
    given = request.query_params
    if unknown := sorted(set(given) - set(endpoint.query)):
        raise RefusedError(400, f"unknown parameter {unknown[0]!r:.80}")
    if twice := [name for name in given if len(given.getlist(name)) > 1]:
        raise RefusedError(400, f"parameter {twice[0]!r:.80} is given twice")
    return {
        name: _value(name, given[name], schema) if name in given else schema["default"]
        for name, schema in endpoint.query.items()
    }


async def _read(request: Request) -> bytes:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_BYTES_MAX:
            raise RefusedError(413, f"a body has at most {BODY_BYTES_MAX} bytes")
    return body


def _body(data: bytes, endpoint: Endpoint) -> dict[str, Any]:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise RefusedError(400, "the body is not JSON") from error
    if not isinstance(document, dict) or document.keys() != endpoint.body.keys():
        raise RefusedError(400, f"the body must be an object with the keys {', '.join(endpoint.body)}")
    for name, schema in endpoint.body.items():
        if not isinstance(document[name], str):
            raise RefusedError(400, f"{name} must be text")
        _value(name, document[name], schema)
    return document


def _value(name: str, text: str, schema: dict[str, Any]) -> Any:
    """Value of a parameter, by its schema."""
    if schema["type"] == "integer":
        if INTEGER.fullmatch(text) is None or not schema["minimum"] <= int(text) <= schema["maximum"]:
            raise RefusedError(400, f"{name} must be an integer of {schema['minimum']}..{schema['maximum']}")
        return int(text)
    if schema["type"] == "boolean":
        if text not in ("true", "false"):
            raise RefusedError(400, f"{name} must be true or false")
        return text == "true"
    if "enum" in schema and text not in schema["enum"]:
        raise RefusedError(400, f"{name} must be one of {', '.join(schema['enum'])}")
    if "pattern" in schema and (len(text) > schema["maxLength"] or not re.fullmatch(schema["pattern"], text)):
        raise RefusedError(400, f"{name} must be 1 to {schema['maxLength']} of a-z A-Z 0-9 . _ @ -")
    return text


def openapi(endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    """Describe the endpoints as OpenAPI 3.1."""
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        fails = (400, 401, 403, *endpoint.fails, *((413,) if endpoint.body else ()))
        operation: dict[str, Any] = {
            "operationId": f"{endpoint.method.lower()}{re.sub(r'[^a-z]+', '_', endpoint.path)}".rstrip("_"),
            "summary": endpoint.summary,
            "description": f"Role: {endpoint.role}.",
            "parameters": [
                *({"name": name, "in": "path", "required": True, "schema": NAME} for name in endpoint.path_names),
                *({"name": name, "in": "query", "schema": schema} for name, schema in endpoint.query.items()),
            ],
            "responses": {
                "200": {"description": "Done", "content": {"application/json": {"schema": endpoint.answer}}},
                **{
                    str(status): {"description": "Refused", "content": {"application/json": {"schema": ERROR}}}
                    for status in fails
                },
            },
        }
        if endpoint.body:
            schema = {**_object(**endpoint.body), "additionalProperties": False}
            operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
        paths.setdefault(f"/api/v1{endpoint.path}", {})[endpoint.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {"title": "edgeml fleet", "version": "1"},
        "paths": paths,
        "components": {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
        "security": [{"token": []}],
    }
