# SPDX-License-Identifier: Apache-2.0
"""Who may look: a token, made at the first start, in a header, a cookie, or once in the address."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from edgeml.errors import FleetError

COOKIE: Final = "edgeml_token"
OPEN_PATHS: Final = ("/healthz", "/static/")
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
    """ASGI middleware: without the token there is nothing but /healthz, the style sheet and a form that asks for it."""

    def __init__(self, app: ASGIApp, token: str, ask: str) -> None:
        self._app = app
        self._token = token
        self._ask = ask  # page that asks for the token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        if request.url.path.startswith(OPEN_PATHS):
            await self._app(scope, receive, send)
        elif (given := request.query_params.get("token")) is not None and self._is_token(given):
            await self._keep(request)(scope, receive, send)
        elif self._is_token(request.cookies.get(COOKIE, "")) or self._is_token(_bearer(request)):
            await self._app(scope, receive, send)
        elif "text/html" in request.headers.get("accept", ""):
            await Response(self._ask, status_code=401, media_type="text/html")(scope, receive, send)
        else:
            answer = Response("token needed: Authorization: Bearer TOKEN\n", status_code=401, media_type="text/plain")
            answer.headers["WWW-Authenticate"] = "Bearer"
            await answer(scope, receive, send)

    def _is_token(self, given: str) -> bool:
        return secrets.compare_digest(given.encode(), self._token.encode())

    def _keep(self, request: Request) -> Response:
        """Move the token from the address, where it would be seen and shared, to a cookie."""
        rest = request.url.remove_query_params("token")
        path = f"{rest.path}?{rest.query}" if rest.query else rest.path
        response = RedirectResponse("/" + path.lstrip("/"), status_code=303)
        secure = request.url.scheme == "https"
        response.set_cookie(COOKIE, self._token, httponly=True, samesite="lax", secure=secure, max_age=30 * 86_400)
        return response


def _bearer(request: Request) -> str:
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if kind.lower() == "bearer" else ""
