# SPDX-License-Identifier: Apache-2.0
"""Who may do what over HTTP: named tokens with a role, kept as hashes, shown once when they are made."""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from edgeml.errors import FleetError
from edgeml.fleet.store import tables as t
from edgeml.fleet.store.statements import insert_new

ROLES: Final = ("viewer", "operator", "releaser")  # each may do what those before it may
FIRST_TOKEN: Final = "first"  # noqa: S105  its name
TOKEN_BYTES: Final = 24
NAME: Final = re.compile(r"[A-Za-z0-9._@-]{1,64}")


@dataclass(frozen=True, kw_only=True)
class Token:
    """A token without its secret."""

    name: str
    role: str  # one of ROLES
    created_s: int
    revoked_s: int | None


@dataclass(frozen=True, kw_only=True)
class Actor:
    """Who sent a request."""

    name: str
    role: str

    def may(self, role: str) -> bool:
        """Whether this is the role that is asked for, or one above it."""
        return ROLES.index(self.role) >= ROLES.index(role)


def add_token(connection: sa.Connection, *, name: str, role: str, now_s: int, secret: str | None = None) -> str:
    """Make a token and give its secret, which nothing keeps; `secret` is one that exists already.

    Raises:
        FleetError: not a name or a role, the name is taken, or the secret is.
    """
    if NAME.fullmatch(name) is None:
        raise FleetError(f"token name {name!r:.80} must be 1 to 64 of a-z A-Z 0-9 . _ @ -")
    if role not in ROLES:
        raise FleetError(f"role {role!r:.80} is none of {', '.join(ROLES)}")
    secret = secret or secrets.token_urlsafe(TOKEN_BYTES)
    row = {"name": name, "role": role, "sha256": _hash(secret), "created_s": now_s, "revoked_s": None}
    if not insert_new(connection, t.access_token, [row], t.access_token.c.id):
        raise FleetError(f"there is, or was, a token {name!r}; choose another name")
    return secret


def has_tokens(connection: sa.Connection) -> bool:
    """Whether a token has ever been made in this store."""
    return connection.execute(sa.select(t.access_token.c.id).limit(1)).first() is not None


def list_tokens(connection: sa.Connection) -> list[Token]:
    """All tokens by name, revoked ones too."""
    rows = connection.execute(sa.select(t.access_token).order_by(t.access_token.c.name))
    return [Token(name=r.name, role=r.role, created_s=r.created_s, revoked_s=r.revoked_s) for r in rows]


def revoke_token(connection: sa.Connection, *, name: str, now_s: int) -> None:
    """Make a token useless from now on.

    Raises:
        FleetError: there is no such token, or it is revoked already.
    """
    update = sa.update(t.access_token).where(t.access_token.c.name == name, t.access_token.c.revoked_s.is_(None))
    if connection.execute(update.values(revoked_s=now_s)).rowcount == 0:
        raise FleetError(f"there is no token {name!r:.80} that could be revoked; edgeml fleet token list shows them")


def actor_of(connection: sa.Connection, secret: str) -> Actor | None:
    """Whose token this is; None where it is nobody's, or revoked."""
    a = t.access_token.c
    query = sa.select(a.name, a.role).where(a.sha256 == _hash(secret), a.revoked_s.is_(None))
    row = connection.execute(query).first()
    return None if row is None else Actor(name=row.name, role=row.role)


def _hash(secret: str) -> bytes:
    # 24 random bytes cannot be guessed from their hash however fast it is, so it need not be slow or salted. Looking
    # it up by equality tells by time at most how much of a hash fits, never of a token.
    return hashlib.sha256(secret.encode("utf-8", "replace")).digest()
