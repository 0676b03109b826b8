# SPDX-License-Identifier: Apache-2.0
"""Messages to bytes and back: CBOR, deterministic, integer keys (docs/design/wire.md, section 4).

`decode` takes bytes from anyone: whatever is wrong with them, the one error is WireError.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from math import gcd
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

import cbor2

from edgeml.errors import WireError
from edgeml.privacy.ledger import Head
from edgeml.telemetry import strict_cbor
from edgeml.telemetry.messages import (
    HOLES_MAX,
    LOST_RANGES_MAX,
    MESSAGE_BYTES_MAX,
    UINT_MAX,
    WINDOWS_OF_REPORT_MAX,
    WIRE_VERSION,
    Ack,
    Birth,
    Event,
    LastWill,
    Message,
    Report,
    Window,
    check_uint,
)

if TYPE_CHECKING:
    from collections.abc import Callable

# Wire key 1 of every message is the wire version; the fields follow from key 2 in this order.
FIELDS: Final[dict[type[Message], tuple[str, ...]]] = {
    Birth: ("epoch", "edgeml_version", "isa", "model_id", "schema_id", "model_name", "time", "ledger_head"),
    Report: (
        *("epoch", "produced", "spool_from", "windows", "epsilon_spent_micro", "epsilon_budget_micro"),
        *("ledger_head", "lost"),
    ),
    Event: ("epoch", "kind", "time", "detail"),
    Ack: ("epoch", "contiguous_upto", "holes", "ledger_head"),
    LastWill: ("epoch",),
}
# The fields of a window, from key 1.
WINDOW_FIELDS: Final = (
    *("seq", "model_id", "schema_id", "start", "end", "packed_counts", "noise_scale", "merged", "epsilon_micro"),
)
_WINDOW_VALUES: Final = itemgetter(*range(1, len(WINDOW_FIELDS) + 1))
MESSAGE_OF_CHANNEL: Final[dict[str, type[Message]]] = {
    "birth": Birth,
    "tel": Report,
    "evt": Event,
    "ack": Ack,
    "lwt": LastWill,
}


def encode(message: Message) -> bytes:
    """Bytes of a message; the same message always gives the same bytes.

    Raises:
        WireError: longer than MESSAGE_BYTES_MAX (a report with fewer windows fits).
    """
    document: dict[int, Any] = {1: WIRE_VERSION}
    for key, name in enumerate(FIELDS[type(message)], start=2):
        document[key] = _to_wire(name, getattr(message, name))
    payload: bytes = cbor2.dumps(document, canonical=True)
    if len(payload) > MESSAGE_BYTES_MAX:
        raise WireError(f"message has {len(payload)} bytes, at most {MESSAGE_BYTES_MAX} are allowed")
    return payload


def decode(channel: str, payload: bytes) -> Message:
    """Message that came in on `channel` (birth, tel, evt, ack or lwt).

    Raises:
        WireError: malformed in any way; the sentence says where.
    """
    kind = MESSAGE_OF_CHANNEL.get(channel)
    if kind is None:
        raise WireError(f"channel {channel!r:.80} carries no message")
    document = _map(strict_cbor.loads(payload, bytes_max=MESSAGE_BYTES_MAX), channel)
    version = _get(document, 1, "wire version", channel)
    check_uint(version, "wire version")
    if version != WIRE_VERSION:
        raise WireError(f"{channel}: wire version {version}, this edgeml reads {WIRE_VERSION}")
    values = {
        name: _from_wire(name, _get(document, key, name, channel)) for key, name in enumerate(FIELDS[kind], start=2)
    }
    return kind(**values)


def _window_to_wire(window: Window) -> dict[int, Any]:
    return {key: _to_wire(name, getattr(window, name)) for key, name in enumerate(WINDOW_FIELDS, start=1)}


def _window_from_wire(value: Any) -> Window:
    document = _map(value, "window")
    try:
        values = _WINDOW_VALUES(document)
    except KeyError as error:
        key = error.args[0]
        raise WireError(f"window: key {key} ({WINDOW_FIELDS[key - 1]}) is missing") from error
    seq, model_id, schema_id, start, end, packed_counts, noise_scale, merged, epsilon_micro = values
    return Window(
        seq=seq,
        model_id=model_id,
        schema_id=schema_id,
        start=start,
        end=end,
        packed_counts=packed_counts,
        noise_scale=_fraction_from_wire(noise_scale),
        merged=merged,
        epsilon_micro=epsilon_micro,
    )


def _fraction_from_wire(value: Any) -> Fraction:
    if not isinstance(value, list) or len(value) != 2:
        raise WireError("noise scale must be [numerator, denominator]")
    numerator, denominator = value
    if not (type(numerator) is type(denominator) is int and 0 < numerator <= UINT_MAX and 0 < denominator <= UINT_MAX):
        check_uint(numerator, "numerator of the noise scale", least=1)
        check_uint(denominator, "denominator of the noise scale", least=1)
    return _fraction_of(numerator, denominator)


@lru_cache(maxsize=1024)
def _fraction_of(numerator: int, denominator: int) -> Fraction:
    if gcd(numerator, denominator) != 1:
        raise WireError(f"noise scale {numerator}/{denominator} is not in lowest terms")
    return Fraction(numerator, denominator)


def _pair_from_wire(value: Any, what: str) -> tuple[Any, Any]:
    if not isinstance(value, list) or len(value) != 2:
        raise WireError(f"{what} must be an array of 2 items")
    return value[0], value[1]


def _head_from_wire(value: Any) -> Head:
    entries, link = _pair_from_wire(value, "ledger head")
    return Head(entries=entries, hash=link)


def _array_from_wire(value: Any, what: str, items_max: int) -> list[Any]:
    if not isinstance(value, list) or len(value) > items_max:
        raise WireError(f"{what} must be an array of at most {items_max} items")
    return value


# Fields whose value on the wire is not the value in the class.
_TO_WIRE: Final[dict[str, Callable[[Any], Any]]] = {
    "windows": lambda windows: [_window_to_wire(window) for window in windows],
    "noise_scale": lambda scale: [scale.numerator, scale.denominator],
    "holes": list,
    "ledger_head": lambda head: [head.entries, head.hash],
    "lost": lambda ranges: [list(pair) for pair in ranges],
}
_FROM_WIRE: Final[dict[str, Callable[[Any], Any]]] = {
    "windows": lambda value: tuple(map(_window_from_wire, _array_from_wire(value, "windows", WINDOWS_OF_REPORT_MAX))),
    "noise_scale": _fraction_from_wire,
    "holes": lambda value: tuple(_array_from_wire(value, "holes", HOLES_MAX)),
    "ledger_head": _head_from_wire,
    "lost": lambda value: tuple(
        _pair_from_wire(pair, "lost range") for pair in _array_from_wire(value, "lost", LOST_RANGES_MAX)
    ),
}


def _to_wire(name: str, value: Any) -> Any:
    return _TO_WIRE[name](value) if name in _TO_WIRE else value


def _from_wire(name: str, value: Any) -> Any:
    return _FROM_WIRE[name](value) if name in _FROM_WIRE else value


def _map(value: Any, where: str) -> dict[Any, Any]:
    if not isinstance(value, dict):
        raise WireError(f"{where}: not a map")
    return value


def _get(document: dict[Any, Any], key: int, what: str, where: str) -> Any:
    if key not in document:
        raise WireError(f"{where}: key {key} ({what}) is missing")
    return document[key]
