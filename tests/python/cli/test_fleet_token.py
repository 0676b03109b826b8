# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path

from support.fleet_process import edgeml


def test_add_list_and_revoke(tmp_path: Path) -> None:
    config = tmp_path / "fleet.toml"
    config.write_text("")

    def token(*arguments: str) -> tuple[int, str, str]:
        done = edgeml("fleet", "token", *arguments, "--config", config)
        return done.returncode, done.stdout, done.stderr

    code, secret, _ = token("add", "ann", "--role", "operator")
    assert code == 0
    assert len(secret.strip()) >= 32
    code, out, _ = token("list", "--json")
    (listed,) = json.loads(out)["tokens"]
    assert (listed["name"], listed["role"], listed["revoked_s"]) == ("ann", "operator", None)
    assert secret.strip() not in out
    assert token("add", "ann")[0] == 2
    assert token("revoke", "ann", "--json")[1] == '{"name": "ann"}\n'
    code, _, err = token("revoke", "ann")
    assert (code, err.count("\n")) == (2, 1)
    assert "revoked" in token("list")[1]
    log = edgeml("fleet", "audit", "show", "--config", config).stdout
    assert log.count("token:ann") == 2
    assert edgeml("fleet", "audit", "verify", "--config", config).returncode == 0
