# SPDX-License-Identifier: Apache-2.0
"""The simulated camera of a device: real digits in front of it, and what dirt or a knock does to its pictures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from edgeml.errors import UsageError

if TYPE_CHECKING:
    from edgeml.demo.digits import Digits

Images = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What is wrong with a camera at its worst.

    `blur` is the standard deviation of a Gaussian in pixels, `contrast` the share of the contrast that is left (grey
    fills the rest), `rotation` in degrees anticlockwise around the centre.

    Raises:
        UsageError: a value is out of its range.
    """

    blur: float = 0.0  # 0..8 pixels
    contrast: float = 1.0  # 0..1
    rotation: float = 0.0  # -180..180 degrees

    def __post_init__(self) -> None:
        for name, low, high in (("blur", 0, 8), ("contrast", 0, 1), ("rotation", -180, 180)):
            if not low <= getattr(self, name) <= high:
                raise UsageError(f"camera fault: {name} {getattr(self, name)!r} is not from {low} to {high}")

    def at(self, severity: float) -> Fault:
        """Return this fault on its way: `severity` 0 is a good camera, 1 the fault itself.

        Raises:
            UsageError: `severity` is not in 0..1.
        """
        if not 0 <= severity <= 1:
            raise UsageError(f"camera fault: severity {severity!r} is not from 0 to 1")
        return Fault(
            blur=severity * self.blur,
            contrast=1 - severity * (1 - self.contrast),
            rotation=severity * self.rotation,
        )

    def photograph(self, images: Images) -> Images:
        """Return what the camera makes of `images`, float32 [n, 1, h, w] in 0..1, same shape and range."""
        pictures = images
        if self.rotation:
            pictures = ndimage.rotate(pictures, self.rotation, axes=(3, 2), reshape=False, order=1)
        if self.blur:
            pictures = ndimage.gaussian_filter(pictures, (0, 0, self.blur, self.blur))
        if self.contrast < 1:
            pictures = self.contrast * pictures + (1 - self.contrast) * FOG
        clipped: Images = np.clip(pictures, 0, 1, dtype=np.float32)
        return clipped


FOG: Final = 0.5  # the grey that a scattering lens adds where contrast is lost
FAULTS: Final = {
    "dirty lens": Fault(blur=0.7, contrast=0.65),
    "knocked askew": Fault(blur=0.2, rotation=45.0),
}


def pictures(scenes: Digits, fault: Fault, generator: np.random.Generator) -> Iterator[tuple[Images, int]]:
    """Yield single pictures, float32 [1, 1, 8, 8], with their classes: every digit once, in random order."""
    order = generator.permutation(len(scenes.y))
    taken = fault.photograph(scenes.x)
    for k in order:
        yield taken[k : k + 1], int(scenes.y[k])
