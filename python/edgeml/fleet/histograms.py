# SPDX-License-Identifier: Apache-2.0
"""What one device saw in its newest period against the reference, feature by feature, with what the noise does to it."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import sqlalchemy as sa

from edgeml.fleet import drift
from edgeml.fleet.evaluation import schema_of
from edgeml.fleet.store import tables as t
from edgeml.fleet.store.rollup import counts_of


@dataclass(frozen=True, kw_only=True)
class Histogram:
    """Shares per slot: NaN, below, bins, above. `noise_sd` is the standard deviation of the noise in an observed share."""

    feature: str
    labels: tuple[str, ...]
    reference: tuple[float, ...] | None  # None: no reference (latency)
    observed: tuple[float, ...]
    noise_sd: float
    p_value: float | None
    psi: float | None


@dataclass(frozen=True, kw_only=True)
class PeriodHistograms:
    """All features of one device in one period; `samples` is estimated, `windows` is counted."""

    period_start_s: int
    windows: int
    samples: float
    histograms: tuple[Histogram, ...]


def histograms_of(
    connection: sa.Connection, tenant: str, device: str, *, before_s: int | None = None
) -> PeriodHistograms | None:
    """Histograms of the newest period of a device that starts no later than `before_s`.

    None where it has no period whose schema is known.
    """
    r = t.rollup.c
    of_device = sa.select(t.device.c.id).where(t.device.c.tenant == tenant, t.device.c.name == device).scalar_subquery()
    rows = connection.execute(
        sa.select(t.rollup, t.telemetry_schema.c.document)
        .join(t.telemetry_schema, t.telemetry_schema.c.schema_id == r.schema_id)
        .where(r.device_id == of_device, sa.true() if before_s is None else r.period_start_s <= before_s)
        .order_by(r.period_start_s.desc(), r.id.desc())
        .limit(16)
    ).all()
    same = [row for row in rows if _period(row) == _period(rows[0])]
    if not same:
        return None
    schema = schema_of(same[0].document)
    counts = np.sum([counts_of(row.counts) for row in same], axis=0)
    noise = drift.Noise.of_releases((row.noise_numerator, row.noise_denominator, row.releases) for row in same)
    samples = drift.samples_of(counts, features=len(schema.features))
    tested = _tested(connection, same[0])
    histograms = []
    for index, feature in enumerate(schema.features):
        observed = counts[schema.offsets[index] : schema.offsets[index + 1]] / max(samples, 1.0)
        total = sum(feature.reference)
        p_value, psi = tested.get(index, (None, None))
        histograms.append(
            Histogram(
                feature=feature.name,
                labels=_labels(feature.edges),
                reference=tuple(n / total for n in feature.reference) if total else None,
                observed=tuple(float(share) for share in observed),
                noise_sd=math.sqrt(noise.variance) / max(samples, 1.0),
                p_value=p_value,
                psi=psi,
            )
        )
    return PeriodHistograms(
        period_start_s=same[0].period_start_s,
        windows=sum(row.windows for row in same),
        samples=samples,
        histograms=tuple(histograms),
    )


def _period(row: sa.Row[Any]) -> tuple[int, bytes, bytes]:
    return row.period_start_s, row.model_id, row.schema_id


def _tested(connection: sa.Connection, rollup: sa.Row[Any]) -> dict[int, tuple[float, float]]:
    d = t.drift.c
    query = sa.select(d.feature, d.p_value, d.psi).where(
        d.device_id == rollup.device_id,
        d.period_start_s == rollup.period_start_s,
        d.model_id == rollup.model_id,
        d.schema_id == rollup.schema_id,
    )
    return {row.feature: (row.p_value, row.psi) for row in connection.execute(query)}


def _labels(edges: tuple[float, ...]) -> tuple[str, ...]:
    bins = [f"{low:.4g} to {high:.4g}" for low, high in itertools.pairwise(edges)]
    return ("NaN", f"below {edges[0]:.4g}", *bins, f"above {edges[-1]:.4g}")
