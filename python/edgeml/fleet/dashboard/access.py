# SPDX-License-Identifier: Apache-2.0
"""Who may look: whoever has a token, in a header, a cookie, or once in a form or the address."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlsplit

import sqlalchemy as sa
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from edgeml.errors import FleetError
from edgeml.fleet.store.engine import reading
from edgeml.fleet.tokens import Actor, actor_of

COOKIE: Final = "edgeml_token"
OPEN_PATHS: Final = ("/healthz", "/static/")
UPDATE_PATH: Final = "/updates/"
LOGIN_PATH: Final = "/login"
LOGIN_BYTES_MAX: Final = 4096
SAFE_METHODS: Final = ("GET", "HEAD", "OPTIONS")
TOKEN_CHARACTERS_MIN: Final = 16


def load_or_make_token(path: Path) -> tuple[str, bool]:
    """Read the token, or make one that only its owner can read; the second value tells whether it is new.

    Raises:
        FleetError: the file cannot be read or written, or holds too short a token.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return _load_token(path), False
    except OSError as error:
        raise FleetError(f"token file {path}: {error.strerror}; is the folder there and writable?") from error
    token = secrets.token_urlsafe(24)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(token + "\n")
    return token, True


def _load_token(path: Path) -> str:
    try:
        token = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise FleetError(f"token file {path}: {error.strerror}") from error
    if len(token) < TOKEN_CHARACTERS_MIN:
        raise FleetError(f"token file {path} has fewer than {TOKEN_CHARACTERS_MIN} characters; delete it")
    return token


class RequireToken:
    """ASGI middleware: without a token there is nothing but /healthz, the style sheet and a form that asks for one.

    Whose token it is stands in `request.state.actor`. A browser sends its cookie along whoever makes it send a request,
    so with a cookie only reading is allowed to requests that do not come from our own pages.
    """

    def __init__(self, app: ASGIApp, engine: sa.Engine, ask: str, update_token: str | None = None) -> None:
        self._app = app
        self._engine = engine
        self._ask = ask  # page that asks for the token
        self._update_token = update_token  # of devices; opens UPDATE_PATH alone

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it."""
        if scope["type"] != "http" or scope["path"].startswith(OPEN_PATHS):
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        if self._is_update(request):
            await self._app(scope, receive, send)
            return
        answer = await self._login(request) or await self._refusal(request)
        await (answer or self._app)(scope, receive, send)

    def _is_update(self, request: Request) -> bool:
        # The path that is routed by; request.url is put together with the Host header, which the sender chooses.
        if self._update_token is None or not request.scope["path"].startswith(UPDATE_PATH):
            return False
        return secrets.compare_digest(_bearer(request).encode(), self._update_token.encode())

    async def _login(self, request: Request) -> Response | None:
        """Move a good token from the form, or from the address where it would be seen and shared, to a cookie."""
        if request.scope["path"] == LOGIN_PATH and request.method == "POST":
            body = await _short_body(request)
            given = parse_qs(body.decode("utf-8", "replace")).get("token", [""])[0]
            path = "/"
        elif (from_address := request.query_params.get("token")) is not None and request.method == "GET":
            given = from_address
            rest = request.url.remove_query_params("token")
            path = "/" + (f"{rest.path}?{rest.query}" if rest.query else rest.path).lstrip("/")
        else:
            return None
        if await run_in_threadpool(self._actor, given) is None:
            return self._unauthorized(request)
        response = RedirectResponse(path, status_code=303)
        secure = request.url.scheme == "https"
        response.set_cookie(COOKIE, given, httponly=True, samesite="lax", secure=secure, max_age=30 * 86_400)
        return response

    async def _refusal(self, request: Request) -> Response | None:
        """Find out who asks; None where they may."""
        bearer, cookie = _bearer(request), request.cookies.get(COOKIE, "")
        actor = await run_in_threadpool(self._actor, bearer or cookie)
        if actor is None:
            return self._unauthorized(request)
        if not bearer and request.method not in SAFE_METHODS and not _is_same_origin(request):
            return JSONResponse({"error": "a request from another site"}, status_code=403)
        request.state.actor = actor
        return None

    def _actor(self, secret: str) -> Actor | None:
        if not secret:
            return None
        with reading(self._engine) as connection:
            return actor_of(connection, secret)

    def _unauthorized(self, request: Request) -> Response:
        if "text/html" in request.headers.get("accept", ""):
            return Response(self._ask, status_code=401, media_type="text/html")
        challenge = {"WWW-Authenticate": "Bearer"}
        return JSONResponse({"error": "token needed: Authorization: Bearer TOKEN"}, status_code=401, headers=challenge)


async def _short_body(request: Request) -> bytes:
    """The body of a request, as far as a token may go."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > LOGIN_BYTES_MAX:
            return b""
    return body


def _is_same_origin(request: Request) -> bool:
    """Whether a page of ours sent this: browsers name the origin of every request that is not a GET."""
    return urlsplit(request.headers.get("origin", "")).netloc == request.headers.get("host", "-")


def _bearer(request: Request) -> str:
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if kind.lower() == "bearer" else ""
