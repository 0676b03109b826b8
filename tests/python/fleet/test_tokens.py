# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import sqlalchemy as sa

from edgeml.errors import FleetError
from edgeml.fleet.store import tables as t
from edgeml.fleet.store.engine import open_store, reading, writing
from edgeml.fleet.tokens import ROLES, Actor, actor_of, add_token, has_tokens, list_tokens, revoke_token
from support.stores import NewStore


def test_a_token_is_known_by_its_secret_until_it_is_revoked(new_store: NewStore) -> None:
    engine = open_store(new_store())
    with writing(engine) as connection:
        assert not has_tokens(connection)
        secret = add_token(connection, name="ann", role="operator", now_s=5)
        assert actor_of(connection, secret) == Actor(name="ann", role="operator")
        assert actor_of(connection, secret[:-1]) is None
        assert actor_of(connection, "\ud800") is None
        revoke_token(connection, name="ann", now_s=6)
        assert actor_of(connection, secret) is None
        assert [(one.name, one.role, one.created_s, one.revoked_s) for one in list_tokens(connection)] == [
            ("ann", "operator", 5, 6)
        ]
    with reading(engine) as connection:
        row = connection.execute(sa.select(t.access_token)).one()
        assert has_tokens(connection)
    assert secret.encode() not in b"".join(v if isinstance(v, bytes) else str(v).encode() for v in row)


def test_refusals(new_store: NewStore) -> None:
    engine = open_store(new_store())
    with writing(engine) as connection:
        add_token(connection, name="ann", role="viewer", now_s=5)
        for name, role, why in (
            ("ann", "viewer", "there is, or was"),
            ("", "viewer", "must be 1 to 64"),
            ("a b", "viewer", "must be 1 to 64"),
            ("bob", "king", "none of viewer, operator, releaser"),
        ):
            with pytest.raises(FleetError, match=why):
                add_token(connection, name=name, role=role, now_s=5)
        with pytest.raises(FleetError, match="no token 'bob'"):
            revoke_token(connection, name="bob", now_s=5)


def test_a_role_may_what_those_below_it_may() -> None:
    assert [[Actor(name="x", role=mine).may(asked) for asked in ROLES] for mine in ROLES] == [
        [True, False, False],
        [True, True, False],
        [True, True, True],
    ]
