# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from edgeml.convert.calibration import HISTOGRAM_BINS, Statistics
from edgeml.convert.options import ConvertOptions
from edgeml.convert.ranges import Range, params_of, range_of


def statistics(values: np.ndarray) -> Statistics:
    low, high = float(values.min()), float(values.max())
    counts = np.histogram(values, HISTOGRAM_BINS, (low, high))[0] if low < high else np.zeros(HISTOGRAM_BINS, int)
    return Statistics(low, high, counts, np.zeros(1), np.zeros(1))


def squared_error(values: np.ndarray, found: Range) -> float:
    quant = params_of(found)
    q = np.clip(np.rint(values / quant.scale) + quant.zero_point, -128, 127)
    return float((((q - quant.zero_point) * quant.scale - values) ** 2).mean())


@pytest.mark.parametrize(
    ("found", "zero_point"),
    [(Range(0, 1), -128), (Range(-1, 0), 127), (Range(-1, 1), 0), (Range(0, 1e-40), -128), (Range(-3e38, 3e38), 0)],
)
def test_zero_is_exact_and_ends_are_covered(found: Range, zero_point: int) -> None:
    quant = params_of(found)
    assert abs(quant.zero_point - zero_point) <= 1
    assert (-128 - quant.zero_point) * quant.scale <= found.low + quant.scale
    assert (127 - quant.zero_point) * quant.scale >= found.high - quant.scale


@pytest.mark.parametrize("method", ["minmax", "percentile", "mse"])
@pytest.mark.parametrize("sign", [1, -1])
def test_ranges_contain_zero(method: str, sign: int) -> None:
    values = sign * np.random.default_rng(1).uniform(3, 4, 10_000)
    found = range_of(statistics(values), ConvertOptions(range_method=method))  # type: ignore[arg-type]
    assert found.low <= 0 <= found.high
    assert found.low < found.high


def test_minmax_is_the_whole_range() -> None:
    values = np.array([-0.25, 3.0, 0.5])
    assert range_of(statistics(values), ConvertOptions(range_method="minmax")) == Range(-0.25, 3.0)


def test_percentile_cuts_outliers() -> None:
    values = np.concatenate([np.random.default_rng(1).uniform(-1, 1, 100_000), [100.0, -50.0]])
    found = range_of(statistics(values), ConvertOptions(range_method="percentile", percentile=99.9))
    assert -1.2 < found.low < -0.9
    assert 0.9 < found.high < 1.2


@pytest.mark.parametrize("seed", range(5))
def test_least_squares_is_better_than_minmax_on_tails(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = np.maximum(rng.standard_t(3, 50_000), [-np.inf, 0][seed % 2]).astype(np.float32)
    one = statistics(values)
    best = range_of(one, ConvertOptions(range_method="mse"))
    whole = range_of(one, ConvertOptions(range_method="minmax"))
    assert squared_error(values, best) < squared_error(values, whole)


@pytest.mark.parametrize("method", ["minmax", "percentile", "mse"])
@pytest.mark.parametrize("value", [0.0, 2.5, -7.0])
def test_constants_are_exact(method: str, value: float) -> None:
    values = np.full(100, value, np.float32)
    found = range_of(statistics(values), ConvertOptions(range_method=method))  # type: ignore[arg-type]
    assert squared_error(values, found) < 1e-12
