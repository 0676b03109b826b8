# SPDX-License-Identifier: Apache-2.0
"""What the windows say about a model: rates of a slice of the fleet in one period, from the noised sums in the store."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from edgeml.fleet import drift
from edgeml.fleet.evaluation import schema_of
from edgeml.fleet.rollout.gates import Rate
from edgeml.fleet.store import tables as t
from edgeml.fleet.store.rollup import counts_of
from edgeml.observe.schema import TelemetrySchema

TAIL: Final = 0.05  # of the latencies lies above the edge that the old model gives
NAN_SLOT, BELOW_SLOT, FIRST_BIN_SLOT = 0, 1, 2


@dataclass(frozen=True, kw_only=True)
class Health:
    """Sums over the devices of a slice: counts of all slots, and the noise in each."""

    schema: TelemetrySchema
    counts: NDArray[np.int64]
    noise: drift.Noise

    @property
    def samples(self) -> float:
        """How many inferences it holds, estimated."""
        return drift.samples_of(self.counts, features=len(self.schema.features))

    def slots(self, index: int) -> NDArray[np.int64]:
        """The slots of one feature."""
        return self.counts[self.schema.offsets[index] : self.schema.offsets[index + 1]]

    def rate(self, index: int, slots: Sequence[int]) -> Rate:
        """The share of some slots of a feature."""
        count = float(self.slots(index)[list(slots)].sum())
        return Rate(
            count=count,
            samples=self.samples,
            variance=len(slots) * self.noise.variance,
            fourth_cumulant=len(slots) * self.noise.fourth_cumulant,
        )

    def feature(self, kind: str) -> int | None:
        """The first feature of this kind."""
        return next((i for i, feature in enumerate(self.schema.features) if feature.kind == kind), None)

    def tail_slot(self) -> int | None:
        """The last latency slot at or below the 95th percentile."""
        index = self.feature("latency_us")
        if index is None:
            return None
        slots = np.maximum(self.slots(index), 0)
        return int(np.searchsorted(np.cumsum(slots), (1 - TAIL) * slots.sum()))

    def slower(self, tail_slot: int) -> Rate:
        """Inferences that took longer than the latency slot `tail_slot`."""
        index = self.feature("latency_us")
        return Rate() if index is None else self.rate(index, range(tail_slot + 1, len(self.slots(index))))

    def errors(self) -> Rate:
        """Outputs that are not a number."""
        outputs = [i for i, feature in enumerate(self.schema.features) if feature.source == "output"]
        return self.rate(outputs[0], [NAN_SLOT]) if outputs else Rate()

    def abstentions(self, below: float) -> Rate:
        """Inferences whose confidence is below a bound, by whole bins."""
        index = self.feature("confidence")
        if index is None:
            return Rate()
        edges = self.schema.features[index].edges
        bins = sum(edge <= below for edge in edges[1:])
        return self.rate(index, [BELOW_SLOT, *range(FIRST_BIN_SLOT, FIRST_BIN_SLOT + bins)])

    def output_drift(self, psi_min: float) -> tuple[float, float]:
        """P-value and distance (PSI) of the output that moved most from its reference; moves below `psi_min` do not count."""
        found = [
            drift.feature_drift(
                np.asarray(feature.reference, dtype=np.int64), self.slots(i), samples=self.samples, noise=self.noise
            )
            for i, feature in enumerate(self.schema.features)
            if feature.source == "output"
        ]
        known = [one for one in found if one is not None]
        p_values = [one.p_value for one in known if one.psi >= psi_min]
        return min([1.0, *(p * len(known) for p in p_values)]), max((one.psi for one in known), default=0.0)


def health_of(
    connection: sa.Connection, device_ids: Iterable[int], model_id: bytes, *, from_s: int, before_s: int
) -> dict[int, Health]:
    """Health of these devices with a model, by period; periods begin in [from_s, before_s)."""
    query = (
        sa.select(t.rollup, t.telemetry_schema.c.document)
        .join(t.telemetry_schema, t.telemetry_schema.c.schema_id == t.rollup.c.schema_id)
        .where(
            t.rollup.c.device_id.in_(sorted(device_ids)),
            t.rollup.c.model_id == model_id,
            t.rollup.c.period_start_s >= from_s,
            t.rollup.c.period_start_s < before_s,
        )
    )
    parts: dict[int, list[Any]] = {}
    for row in connection.execute(query):
        parts.setdefault(row.period_start_s, []).append(row)
    return {start_s: sum_of(rows) for start_s, rows in sorted(parts.items())}


def sum_of(rows: Sequence[Any]) -> Health:
    """Add up rows of one model; each has counts, releases and noise scale, and the document of the schema."""
    return Health(
        schema=schema_of(rows[0].document),
        counts=np.sum([counts_of(row.counts) for row in rows], axis=0),
        noise=drift.Noise.of_releases((row.noise_numerator, row.noise_denominator, row.releases) for row in rows),
    )


def added(parts: Sequence[Health]) -> Health:
    """Several periods as one."""
    return Health(
        schema=parts[0].schema,
        counts=np.sum([part.counts for part in parts], axis=0),
        noise=drift.Noise(
            variance=sum(part.noise.variance for part in parts),
            fourth_cumulant=sum(part.noise.fourth_cumulant for part in parts),
        ),
    )
