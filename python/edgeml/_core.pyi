# SPDX-License-Identifier: Apache-2.0
# Types of the native core; its docstrings stand in cpp/bindings.

from collections.abc import Sequence
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

# bind_noise.cpp
@final
class RawCounts: ...

@final
class ReleasedCounts:
    @property
    def counts(self) -> NDArray[np.int64]: ...
    @property
    def noise_scale(self) -> tuple[int, int]: ...

def release(raw: RawCounts, numerator: int, denominator: int, /) -> ReleasedCounts: ...
def reference_counts(raw: RawCounts, /) -> NDArray[np.int64]: ...
def seeded_discrete_laplace(seed: int, numerator: int, denominator: int, count: int, /) -> NDArray[np.int64]: ...

# bind_observe.cpp
class Observer:
    def __init__(
        self,
        features: Sequence[tuple[str, int, int, float, float, list[float]]],
        tensor_names: Sequence[str],
    ) -> None: ...
    def observe(self, arrays: Sequence[NDArray[Any]], latency_us: float) -> None: ...
    def take(self) -> RawCounts: ...
    @property
    def slot_count(self) -> int: ...
