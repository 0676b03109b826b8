# SPDX-License-Identifier: Apache-2.0
"""The simulated camera: what a good one and a bad one make of real digits."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="needs edgeml[demo]")

from edgeml.demo import camera, digits
from edgeml.errors import UsageError


def test_good_camera_changes_nothing() -> None:
    x = digits.load("test").x
    assert np.array_equal(camera.Fault().photograph(x), x)
    for fault in camera.FAULTS.values():
        assert np.array_equal(fault.at(0).photograph(x), x)


@pytest.mark.parametrize("name", camera.FAULTS)
def test_fault_keeps_shape_type_and_range_and_grows(name: str) -> None:
    x = digits.load("test").x
    change = []
    for severity in (0.25, 0.5, 1):
        y = camera.FAULTS[name].at(severity).photograph(x)
        assert (y.shape, y.dtype) == (x.shape, x.dtype)
        assert y.min() >= 0
        assert y.max() <= 1
        change.append(float(np.abs(y - x).mean()))
    assert change == sorted(change)
    assert change[0] > 0


def test_quarter_turn_is_anticlockwise_and_about_the_centre() -> None:
    x = digits.load("test").x[:5]
    assert np.allclose(camera.Fault(rotation=90).photograph(x), np.rot90(x, axes=(2, 3)), atol=1e-6)


def test_blur_keeps_ink_inside_and_contrast_pulls_to_grey() -> None:
    spot = np.zeros((1, 1, 8, 8), np.float32)
    spot[0, 0, 4, 4] = 1
    blurred = camera.Fault(blur=0.6).photograph(spot)
    assert blurred.sum() == pytest.approx(1, abs=1e-3)
    assert blurred[0, 0, 4, 4] < 1
    assert np.allclose(camera.Fault(contrast=0).photograph(spot), camera.FOG)


@pytest.mark.parametrize(
    "values", [{"blur": -0.1}, {"blur": float("nan")}, {"contrast": 1.1}, {"contrast": -0.1}, {"rotation": 181.0}]
)
def test_impossible_fault_is_refused(values: dict[str, float]) -> None:
    with pytest.raises(UsageError, match=next(iter(values))):
        camera.Fault(**values)


@pytest.mark.parametrize("severity", [-0.1, 1.1, float("nan")])
def test_impossible_severity_is_refused(severity: float) -> None:
    with pytest.raises(UsageError, match="severity"):
        camera.FAULTS["dirty lens"].at(severity)


def test_pictures_show_every_digit_once_with_its_class(rng: np.random.Generator) -> None:
    scenes = digits.load("test")
    taken = list(camera.pictures(scenes, camera.Fault(), rng))
    assert sorted((y, x.tobytes()) for x, y in taken) == sorted(
        (int(y), x.tobytes()) for x, y in zip(scenes.x, scenes.y, strict=True)
    )
    assert taken[0][0].shape == (1, 1, 8, 8)
