# SPDX-License-Identifier: Apache-2.0
"""Makes devices known: their public keys go to the store, and the operator gets the broker's ACL lines.

A device that has made its key itself (`edgeml device init`) hands over the public half. Otherwise the key is made here, in
a folder that is then carried to the device.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from edgeml.errors import UsageError
from edgeml.fleet.store.device_keys import add_keys, remove_other_keys
from edgeml.telemetry.device_key import DeviceKey, parse_public_key, public_key_text
from edgeml.telemetry.state_directory import KEY_FILE
from edgeml.telemetry.topics import PREFIX, check_names


@dataclass(frozen=True, kw_only=True)
class Provisioned:
    """A device that the fleet listens to from now on; `key_file` is None where the device has its key already."""

    tenant: str
    device: str
    public_key: str
    acl: tuple[str, ...]  # lines of a mosquitto ACL file
    key_file: str | None


def provision(
    connection: sa.Connection, names: Sequence[str], *, tenant: str, out: Path | None, now_s: int
) -> list[Provisioned]:
    """Make devices known, each given as `NAME=ed25519:...`, or as `NAME` to get a key in the folder `out`/NAME.

    Raises:
        UsageError: a name or key that cannot be, or a name alone without `out`.
        DeviceError: a key file exists, or cannot be written.
    """
    made = [_provisioned(name, tenant, out) for name in names]
    if len({one.device for one in made}) != len(made):
        raise UsageError("a device is named twice")
    add_keys(connection, {(one.tenant, one.device): parse_public_key(one.public_key) for one in made}, now_s=now_s)
    return made


def forget_earlier_keys(connection: sa.Connection, made: Sequence[Provisioned]) -> None:
    """Leave these devices the keys that they were provisioned with now."""
    remove_other_keys(connection, {(one.tenant, one.device): parse_public_key(one.public_key) for one in made})


def acl_lines(tenant: str, device: str) -> tuple[str, ...]:
    """What a mosquitto ACL file says about one device, whose user name is its device name."""
    base = f"{PREFIX}/{tenant}/{device}"
    return (f"user {device}", f"topic write {base}/up/#", f"topic read {base}/down/#")


def _provisioned(text: str, tenant: str, out: Path | None) -> Provisioned:
    device, has_key, public_text = text.partition("=")
    check_names(tenant, device)
    key_file = None
    if has_key:
        public = parse_public_key(public_text)
    elif out is None:
        raise UsageError(f"device {device}: give its public key, {device}=ed25519:..., or --out DIR to make one there")
    else:
        key_file = out / device / KEY_FILE
        public = DeviceKey.create(key_file).public
    return Provisioned(
        tenant=tenant,
        device=device,
        public_key=public_key_text(public),
        acl=acl_lines(tenant, device),
        key_file=None if key_file is None else str(key_file),
    )
