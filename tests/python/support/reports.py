# SPDX-License-Identifier: Apache-2.0
"""Telemetry as a device would send it: a schema, windows with seeded noise, reports, and the topics they come in on."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Final

import numpy as np

from edgeml.fleet.received import Received, read_message
from edgeml.observe.schema import Feature, TelemetrySchema
from edgeml.privacy.ledger import Head
from edgeml.telemetry import codec, envelope
from edgeml.telemetry.device_key import DeviceKey
from edgeml.telemetry.messages import Message, Report, Window
from edgeml.telemetry.topics import topic
from edgeml.telemetry.varint import pack_counts

if TYPE_CHECKING:
    from numpy.typing import NDArray

MODEL_ID: Final = b"model-01"
NOON_S: Final = 1_700_000_000 - 1_700_000_000 % 3600
NOISE_SCALE: Final = Fraction(4)
HEAD: Final = Head(entries=1_000_000, hash=bytes(32))  # of every ledger of the tests
KEY: Final = DeviceKey(bytes(range(32)))  # of every device of the tests


def normal_schema(features: int = 3, bins: int = 10, samples: int = 2000) -> TelemetrySchema:
    """Features that are standard normal, with bins from -2 to 2, and a latency feature."""
    rng = np.random.default_rng(7)
    edges = np.linspace(-2, 2, bins + 1).astype(np.float32)
    rows = [
        Feature(
            name=f"input/x[{index}]",
            source="input",
            tensor="x",
            kind="value",
            index=index,
            edges=tuple(float(edge) for edge in edges),
            reference=tuple(int(n) for n in slots(rng.standard_normal(samples), edges)),
        )
        for index in range(features)
    ]
    latency = Feature(
        name="latency",
        source="latency",
        tensor="",
        kind="latency_us",
        index=0,
        edges=tuple(float(2**e) for e in range(25)),
        reference=(0,) * 27,
    )
    return TelemetrySchema(samples=samples, features=(*rows, latency))


def slots(values: NDArray[np.float64], edges: Sequence[float] | NDArray[np.float32]) -> NDArray[np.int64]:
    """Count values in the slots of wire.md, section 1: NaN, below, bins, above."""
    bins = np.searchsorted(edges, values, side="right")
    bins[values == edges[-1]] = len(edges) - 1
    counted: NDArray[np.int64] = np.bincount(np.where(np.isnan(values), 0, bins + 1), minlength=len(edges) + 2).astype(
        np.int64
    )
    return counted


def normal_counts(
    schema: TelemetrySchema, rng: np.random.Generator, *, samples: int = 200, shift: float = 0.0
) -> NDArray[np.int64]:
    """Counts of one window of a device whose features moved by `shift`, with noise of NOISE_SCALE in every slot."""
    parts = []
    for feature in schema.features:
        if feature.source == "latency":
            parts.append(slots(rng.uniform(100, 900, samples), feature.edges))
        else:
            parts.append(slots(rng.normal(shift, 1, samples), feature.edges))
    return np.concatenate(parts) + discrete_laplace(rng, float(NOISE_SCALE), schema.slot_count)


def discrete_laplace(rng: np.random.Generator, scale: float, size: int) -> NDArray[np.int64]:
    """Draw discrete Laplace noise as the difference of two geometric draws; for tests, not for devices."""
    stop = 1 - np.exp(-1 / scale)
    return (rng.geometric(stop, size) - rng.geometric(stop, size)).astype(np.int64)


def window(
    seq: int,
    counts: NDArray[np.int64],
    schema_id: bytes,
    *,
    start: int | None = None,
    merged: int = 1,
) -> Window:
    """Make a window of five minutes; without `start` they follow one another from NOON_S."""
    begin = NOON_S + 300 * (seq - 1) if start is None else start
    return Window(
        seq=seq,
        model_id=MODEL_ID,
        schema_id=schema_id,
        start=begin,
        end=begin + 300,
        packed_counts=pack_counts(counts),
        noise_scale=NOISE_SCALE,
        merged=merged,
        epsilon_micro=1_000_000,
    )


def report(
    epoch: bytes,
    windows: Sequence[Window],
    *,
    produced: int = 0,
    spool_from: int = 0,
    lost: tuple[tuple[int, int], ...] = (),
) -> Report:
    """Make a report; by default it knows of no more than its own windows."""
    return Report(
        epoch=epoch,
        produced=max([produced, *(w.seq for w in windows), *(last for _, last in lost)]),
        spool_from=spool_from or min([*(w.seq for w in windows), *(first for first, _ in lost)]),
        windows=tuple(windows),
        epsilon_spent_micro=len(windows) * 1_000_000,
        epsilon_budget_micro=24_000_000,
        ledger_head=HEAD,
        lost=lost,
    )


def received(device: str, message: Message, *, channel: str = "tel", tenant: str = "acme") -> Received:
    """Pass a message through its bytes, as the collector does."""
    name = topic(tenant, device, channel)
    one = read_message(name, sealed(name, message), known_key)
    assert isinstance(one, Received)
    return one


def sealed(name: str, message: Message) -> bytes:
    """Payload of a device for a topic, signed with KEY."""
    return envelope.seal(name, codec.encode(message), KEY)


def known_key(_tenant: str, _device: str) -> tuple[bytes, ...]:
    """Every device has KEY."""
    return (KEY.public,)
