# SPDX-License-Identifier: Apache-2.0
"""How fast a device counts and makes noise, each beside numpy on the same data in the same run.

    PYTHONPATH=python pytest bench/observe/bench_observe.py --benchmark-columns=median,iqr,rounds

The rates are printed by themselves at the end, and stand as extra_info in --benchmark-json.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgeml import _core
from edgeml.observe import Feature, Observer, TelemetrySchema
from edgeml.observe.schema import LATENCY_EDGES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

VALUES = 1 << 20
BINS = 16
DRAWS = 100_000
SCALE = 33  # of the noise: 33 features at epsilon 1

_rates: list[tuple[str, float, str]] = []


@pytest.fixture(scope="module", autouse=True)
def rates(request: pytest.FixtureRequest) -> Iterator[None]:
    """Print every rate once, below pytest-benchmark's table of times."""
    yield
    reporter: Any = request.config.pluginmanager.getplugin("terminalreporter")
    reporter.write_line("")
    for name, rate, unit in _rates:
        reporter.write_line(f"{name:32} {rate / 1e6:10.2f} M {unit}/s")


def measure(benchmark: Any, name: str, count: int, unit: str, work: Callable[[], object]) -> None:
    benchmark(work)
    rate = count / benchmark.stats.stats.median
    benchmark.extra_info[f"{unit}_per_s"] = rate
    _rates.append((name, rate, unit))


def feature(index: int, edges: tuple[float, ...]) -> Feature:
    return Feature(
        name=f"x[{index}]",
        source="input",
        tensor="x",
        kind="value",
        index=index,
        edges=edges,
        reference=(0,) * (len(edges) + 2),
    )


def quantile_edges() -> tuple[float, ...]:
    normal = np.random.default_rng(1).normal(size=10_000)
    return tuple(float(e) for e in np.quantile(normal, np.linspace(0, 1, BINS + 1)).astype(np.float32))


def schema_of(features: int) -> TelemetrySchema:
    latency = Feature(
        name="latency", source="latency", tensor="", kind="latency_us", edges=LATENCY_EDGES, reference=(0,) * 27
    )
    return TelemetrySchema(samples=0, features=(*(feature(i, quantile_edges()) for i in range(features)), latency))


def values() -> np.ndarray:
    return np.random.default_rng(2).normal(size=(VALUES, 1)).astype(np.float32)


@pytest.mark.benchmark(group="bins of one feature, 2^20 values")
def test_bins_edgeml(benchmark: Any) -> None:
    observer, x = Observer(schema_of(1)), values()
    measure(benchmark, "bins: edgeml", VALUES, "values", lambda: observer.observe({"x": x}, {}, 1.0))


@pytest.mark.benchmark(group="bins of one feature, 2^20 values")
def test_bins_numpy(benchmark: Any) -> None:
    edges, x = np.array(quantile_edges(), dtype=np.float32), values()[:, 0]

    def count() -> np.ndarray:
        return np.bincount(np.searchsorted(edges, x, side="right"), minlength=BINS + 3)

    measure(benchmark, "bins: numpy searchsorted", VALUES, "values", count)


@pytest.mark.benchmark(group="one sample of 32 features and latency, called from Python")
@pytest.mark.parametrize("features", [32])
def test_one_sample_edgeml(benchmark: Any, features: int) -> None:
    observer = Observer(schema_of(features))
    feed = {"x": np.random.default_rng(3).normal(size=(1, features)).astype(np.float32)}
    outputs: dict[str, np.ndarray] = {}
    measure(benchmark, "one sample of 32: edgeml", features, "values", lambda: observer.observe(feed, outputs, 1.0))


@pytest.mark.benchmark(group="one sample of 32 features and latency, called from Python")
def test_one_sample_numpy(benchmark: Any) -> None:
    edges = np.array(quantile_edges(), dtype=np.float32)
    x = np.random.default_rng(3).normal(size=32).astype(np.float32)
    counts = np.zeros((32, BINS + 3), dtype=np.int64)
    rows = np.arange(32)

    def count() -> None:
        counts[rows, np.searchsorted(edges, x, side="right")] += 1

    measure(benchmark, "one sample of 32: numpy", 32, "values", count)


@pytest.mark.benchmark(group="an image of 3 x 224 x 224: mean, spread, clipped share of each channel")
def test_image_edgeml(benchmark: Any) -> None:
    kinds = ("channel_mean", "channel_std", "channel_clipped")
    schema = TelemetrySchema(
        samples=0,
        features=tuple(
            Feature(
                name=f"{kind}[{channel}]",
                source="input",
                tensor="x",
                kind=kind,
                index=channel,
                edges=(0.0, 0.5, 1.0),
                reference=(0,) * 5,
                **({"lo": 0.0, "hi": 1.0} if kind == "channel_clipped" else {}),
            )
            for channel in range(3)
            for kind in kinds
        ),
    )
    observer = Observer(schema)
    image = np.random.default_rng(4).random((1, 3, 224, 224), dtype=np.float32)
    measure(benchmark, "image: edgeml", image.size, "pixels", lambda: observer.observe({"x": image}, {}, 1.0))


@pytest.mark.benchmark(group="an image of 3 x 224 x 224: mean, spread, clipped share of each channel")
def test_image_numpy(benchmark: Any) -> None:
    image = np.random.default_rng(4).random((1, 3, 224, 224), dtype=np.float32)

    def values_of_channels() -> tuple[np.ndarray, ...]:
        pixels = image.reshape(3, -1)
        clipped = ((pixels <= 0.0) | (pixels >= 1.0)).mean(axis=1)
        return pixels.mean(axis=1, dtype=np.float64), pixels.std(axis=1, dtype=np.float64), clipped

    measure(benchmark, "image: numpy", image.size, "pixels", values_of_channels)


@pytest.mark.benchmark(group="discrete Laplace noise, scale 33")
def test_noise_edgeml(benchmark: Any) -> None:
    def draw() -> np.ndarray:
        return _core.noise_draws("discrete_laplace", SCALE, 1, count=DRAWS)

    measure(benchmark, "noise: edgeml, exact", DRAWS, "draws", draw)


@pytest.mark.benchmark(group="discrete Laplace noise, scale 33")
def test_noise_edgeml_constant_time(benchmark: Any) -> None:
    def draw() -> np.ndarray:
        return _core.noise_draws("discrete_laplace", SCALE, 1, sampler="constant_time", count=DRAWS)

    measure(benchmark, "noise: edgeml, constant time", DRAWS, "draws", draw)


@pytest.mark.benchmark(group="discrete Gaussian noise, sigma 33")
@pytest.mark.parametrize("sampler", ["exact", "constant_time"])
def test_gaussian_noise_edgeml(benchmark: Any, sampler: str) -> None:
    def draw() -> np.ndarray:
        return _core.noise_draws("discrete_gaussian", SCALE * SCALE, 1, sampler=sampler, count=DRAWS)

    measure(benchmark, f"Gaussian noise: edgeml, {sampler}", DRAWS, "draws", draw)


@pytest.mark.benchmark(group="discrete Laplace noise, scale 33")
def test_noise_edgeml_release(benchmark: Any) -> None:
    """From getrandom, through release: what a device does."""
    wide = TelemetrySchema(samples=0, features=tuple(feature(i, quantile_edges()) for i in range(1000)))
    raw = Observer(wide).take()
    count = wide.slot_count
    measure(benchmark, "noise: edgeml, exact, release", count, "draws", lambda: _core.release(raw, SCALE, 1))


@pytest.mark.benchmark(group="discrete Laplace noise, scale 33")
def test_noise_numpy(benchmark: Any) -> None:
    """The difference of two geometric draws in floating point: neither exact nor from a CSPRNG."""
    random = np.random.default_rng(5)
    stop = 1 - np.exp(-1 / SCALE)

    def draw() -> np.ndarray:
        return random.geometric(stop, DRAWS) - random.geometric(stop, DRAWS)

    measure(benchmark, "noise: numpy, not exact", DRAWS, "draws", draw)
