# SPDX-License-Identifier: Apache-2.0
"""The web application: pages, the JSON twin of the overview, metrics, health; all behind the token but health."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edgeml.fleet import audit
from edgeml.fleet.dashboard import api, charts, metrics, texts
from edgeml.fleet.dashboard.access import RequireToken
from edgeml.fleet.histograms import histograms_of
from edgeml.fleet.overview import EVENTS_MAX, Overview, devices_to_look_at, drift_of_device, id_of_device, overview
from edgeml.fleet.rollout.board import rollouts
from edgeml.fleet.rollout.driver import is_frozen
from edgeml.fleet.store import tables as t
from edgeml.fleet.store.engine import reading
from edgeml.fleet.update_repository import UpdateRepository

ENTRIES_SHOWN: Final = 100
HERE: Final = Path(__file__).parent
HEADERS: Final = {
    "content-security-policy": "default-src 'none'; style-src 'self' 'unsafe-inline'; script-src 'self'; "
    "connect-src 'self'; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}


@dataclass(frozen=True, kw_only=True)
class Updates:
    """What devices fetch below /updates/, with a token of their own that opens nothing else."""

    repository: UpdateRepository
    token: str


def make_app(
    engine: sa.Engine, *, period_s: int, clock: Callable[[], float] = time.time, updates: Updates | None = None
) -> Starlette:
    """Build the application over a store; requests without a token get nothing but /healthz and the style sheet."""
    pages = _Pages(engine, period_s, clock)
    shelves = [] if updates is None else _shelves(updates.repository)
    update_token = None if updates is None else updates.token
    return Starlette(
        routes=[
            Route("/", pages.overview),
            Route("/device/{tenant}/{device}", pages.device),
            Route("/models", pages.models),
            Route("/rollouts", pages.rollouts),
            Route("/audit", pages.audit),
            *api.routes(engine, period_s, clock),
            Route("/metrics", pages.metrics),
            Route("/healthz", pages.healthz),
            Mount("/static", StaticFiles(directory=HERE / "static")),
            *shelves,
        ],
        middleware=[
            Middleware(_AddHeaders),
            Middleware(RequireToken, engine=engine, ask=pages.ask_for_token(), update_token=update_token),
        ],
        exception_handlers={404: pages.not_found, 405: pages.not_allowed},
    )


def _shelves(repository: UpdateRepository) -> list[Mount]:
    """Metadata and targets as files; the keys beside them are not served."""
    folders = {"metadata": repository.metadata_folder, "targets": repository.targets_folder}
    return [Mount(f"/updates/{name}", StaticFiles(directory=folder)) for name, folder in folders.items()]


class _Pages:
    """Request handlers; each reads the store in one transaction, on a thread of the server's pool."""

    def __init__(self, engine: sa.Engine, period_s: int, clock: Callable[[], float]) -> None:
        self._engine = engine
        self._period_s = period_s
        self._clock = clock
        self._templates = Environment(
            loader=FileSystemLoader(HERE / "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
        )
        named = (texts.thousands, texts.clock, texts.p_text, texts.psi_text, texts.epsilon, texts.size)
        self._templates.filters |= {function.__name__: function for function in named}
        self._templates.globals |= {"charts": charts, "level": texts.level}

    def overview(self, _request: Request) -> Response:
        """Show the whole fleet."""
        return self._page("overview.html", self._state())

    def models(self, _request: Request) -> Response:
        """Show the registry."""
        with reading(self._engine) as connection:
            state = overview(connection, now_s=int(self._clock()), period_s=self._period_s, device_ids=[])
        return self._page("models.html", state)

    def rollouts(self, _request: Request) -> Response:
        """Show rollouts: waves, devices, the evidence of each gate."""
        with reading(self._engine) as connection:
            known, frozen = rollouts(connection), is_frozen(connection)
        return self._page("rollouts.html", self._state(), rollouts=known, frozen=frozen)

    def audit(self, _request: Request) -> Response:
        """Show the newest entries of the audit log, and whether the whole of it is untouched."""
        with reading(self._engine) as connection:
            log, head = audit.entries(connection), audit.stored_head(connection)
        newest = log[: -ENTRIES_SHOWN - 1 : -1]
        return self._page(
            "audit.html", self._state(), entries=newest, count=len(log), head=head, problem=audit.verify(log, head)
        )

    def device(self, request: Request) -> Response:
        """Show one device: identity, book, budget, drift over time, histograms of the newest period, events."""
        tenant, name = request.path_params["tenant"], request.path_params["device"]
        with reading(self._engine) as connection:
            device_id = id_of_device(connection, tenant, name)
            if device_id is None:
                raise HTTPException(404)
            state = overview(connection, now_s=int(self._clock()), period_s=self._period_s, device_ids=[device_id])
            (device,) = state.devices
            drift = drift_of_device(connection, tenant, name)
            period = histograms_of(connection, tenant, name, before_s=drift[-1].period_start_s if drift else None)
            events = connection.execute(
                sa.select(t.event)
                .join(t.device, t.device.c.id == t.event.c.device_id)
                .where(t.device.c.tenant == tenant, t.device.c.name == name)
                .order_by(t.event.c.time_s.desc(), t.event.c.id.desc())
                .limit(EVENTS_MAX)
            ).all()
        shown = sorted(period.histograms, key=lambda h: 2.0 if h.p_value is None else h.p_value) if period else []
        return self._page(
            "device.html",
            state,
            device=device,
            period=period,
            histograms=shown,
            events=events,
            drift=drift,
        )

    def metrics(self, _request: Request) -> Response:
        """Give the numbers to Prometheus."""
        return Response(metrics.render(self._state()), media_type=CONTENT_TYPE_LATEST)

    def healthz(self, _request: Request) -> Response:
        """Answer while the store can be read."""
        with reading(self._engine) as connection:
            connection.execute(sa.select(sa.literal(1)))
        return PlainTextResponse("ok\n")

    def not_found(self, request: Request, _error: Exception) -> Response:
        """Say so, in the shape that was asked for."""
        if request.url.path.startswith("/api/"):
            return JSONResponse({"error": "not found"}, status_code=404)
        return HTMLResponse(self._templates.get_template("not_found.html").render(), status_code=404)

    def not_allowed(self, _request: Request, error: Exception) -> Response:
        """Say that the address is right and the method is not."""
        headers = error.headers if isinstance(error, HTTPException) else None
        return JSONResponse({"error": "method not allowed"}, status_code=405, headers=headers)

    def ask_for_token(self) -> str:
        """Render the page of those who have no token yet."""
        return self._templates.get_template("token.html").render()

    def _state(self) -> Overview:
        now_s = int(self._clock())
        with reading(self._engine) as connection:
            shown = devices_to_look_at(connection, now_s=now_s)
            return overview(connection, now_s=now_s, period_s=self._period_s, device_ids=shown)

    def _page(self, template: str, state: Overview, **values: Any) -> Response:
        ago = partial(texts.ago, now_s=state.time_s)
        return HTMLResponse(self._templates.get_template(template).render(state=state, ago=ago, **values))


class _AddHeaders:
    """ASGI middleware: headers that every answer carries."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                extra = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                if not scope["path"].startswith("/static/"):
                    extra.append((b"cache-control", b"no-store"))
                message["headers"] = [*message["headers"], *extra]
            await send(message)

        await self._app(scope, receive, send_with_headers)
