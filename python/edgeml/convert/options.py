# SPDX-License-Identifier: Apache-2.0
"""`ConvertOptions`: the choices of a conversion, checked on construction."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple, get_args

from edgeml import _core
from edgeml.artifact.block_sparse import BLOCK_ROWS
from edgeml.convert.dimensions import read_dims
from edgeml.errors import UsageError

Preset = Literal["fast", "balanced", "best"]
RangeMethod = Literal["minmax", "percentile", "mse"]
Rounding = Literal["nearest", "compensated", "descent"]
Io = Literal["float32", "int8"]
PERCENTILE_MIN: Final = 50.0  # exclusive
_PRUNING: Final = ("sparsity", "latency_budget", "channel_sparsity", "block_rows")


class PresetMethods(NamedTuple):
    """What a preset stands for: `rounding`, and the strengths of equalization among which the measured output error chooses."""

    rounding: Rounding
    equalizations: tuple[float, ...]


PRESETS: Final[Mapping[Preset, PresetMethods]] = {
    "fast": PresetMethods("nearest", (0.0,)),
    "balanced": PresetMethods("compensated", (0.0, 0.5, 1.0)),
    "best": PresetMethods("descent", (0.0, 0.25, 0.5, 0.75, 1.0)),
}


@dataclass(frozen=True, kw_only=True)
class ConvertOptions:
    """Options of `edgeml.convert`.

    preset: how much work accuracy is worth: `fast` takes ranges and rounds to the nearest; `balanced` equalizes channels and
        rounds weights so that they make up for each other's errors; `best` goes on changing single weights and tries more.
    range_method: how the real range that 8 bits cover is taken from calibration: `minmax`, `percentile`, or `mse`, the range
        with the least mean squared error of rounding and clipping.
    percentile: for `percentile`, in (50, 100]: the share of values kept on each side of zero, in percent.
    bias_correction: move biases so that rounding leaves the mean of every output channel where it was.
    rounding: of weights: to the `nearest` integer; `compensated`, each making up for those before it; or `descent`, which goes on
        from there by single weights. None: as the preset says.
    equalization: in 0..1, how far the ranges of channels are brought together, 0 not at all. None: as the preset says.
    target_isa: the level (`edgeml info`) of the devices: weights with zeros are stored without them where that is predicted to
        be over 10 % faster there. It never changes a result, and every device runs every artifact.
    int8_only: refuse a model in which a node would stay in float because no int8 operator computes it.
    sparsity: in (0, 1): the share of weights to make zero, of all layers but the first, depthwise and grouped ones, in blocks
        of block_rows output channels x 4 input channels; None prunes nothing.
    latency_budget: in (0, 1), in the place of sparsity: prune until the cycles that the cost model predicts for these layers and
        the first one on target_isa are at most this share of the dense ones.
    channel_sparsity: in (0, 1): about this share of the channels between two convolutions is removed from the graph before
        anything else, where no sum, concatenation or output depends on them; None removes none.
    block_rows: 1, 2 or 4: higher blocks run faster, lower ones cost less accuracy; None: 2 with sparsity, and with a latency
        budget what is best for each layer.
    dims: sizes of free dimensions of the inputs, "T=49"; "N=1..16" says which sizes of the batch, which stays free, are meant.
    io: `float32` keeps the source model's inputs and outputs; `int8` exposes the quantized ones.

    Raises:
        UsageError: a value outside its range.
    """

    preset: Preset = "balanced"
    range_method: RangeMethod = "mse"
    percentile: float = 99.99
    bias_correction: bool = True
    rounding: Rounding | None = None
    equalization: float | None = None
    target_isa: str = "avx512vnni"
    int8_only: bool = False
    sparsity: float | None = None
    latency_budget: float | None = None
    channel_sparsity: float | None = None
    block_rows: int | None = None
    dims: tuple[str, ...] = ()
    io: Io = "float32"

    def __post_init__(self) -> None:
        _one_of("preset", self.preset, get_args(Preset))
        _one_of("range method", self.range_method, get_args(RangeMethod))
        if self.rounding is not None:
            _one_of("rounding", self.rounding, get_args(Rounding))
        if not (math.isfinite(self.percentile) and PERCENTILE_MIN < self.percentile <= 100):
            raise UsageError(f"percentile {self.percentile} is not above 50 and at most 100")
        if self.target_isa not in _core.ISA_LEVELS:
            raise UsageError(f"target ISA {self.target_isa!r} is not one of {', '.join(_core.ISA_LEVELS)}")
        if self.sparsity is not None and not 0 < self.sparsity < 1:
            raise UsageError(f"sparsity {self.sparsity:g} is not a share of zeros between 0 and 1, 0.5 for example")
        if self.latency_budget is not None and not 0 < self.latency_budget < 1:
            raise UsageError(f"latency budget {self.latency_budget:g} is not a share between 0 and 1, 0.7 for example")
        if self.channel_sparsity is not None and not 0 < self.channel_sparsity < 1:
            raise UsageError(
                f"channel sparsity {self.channel_sparsity:g} is not a share between 0 and 1, 0.25 for example"
            )
        if self.sparsity is not None and self.latency_budget is not None:
            raise UsageError("sparsity and latency budget exclude each other; give one of them")
        if self.block_rows is not None and self.block_rows not in BLOCK_ROWS:
            raise UsageError(f"block rows {self.block_rows} is not one of {', '.join(map(str, BLOCK_ROWS))}")
        if self.equalization is not None and not 0 <= self.equalization <= 1:
            raise UsageError(f"equalization {self.equalization} is not in 0..1")
        _one_of("io", self.io, get_args(Io))

        read_dims(self.dims)

    @property
    def prunes(self) -> bool:
        """Whether pruning of blocks was asked for."""
        return self.sparsity is not None or self.latency_budget is not None

    def as_metadata(self) -> dict[str, Any]:
        """The options by name; those of pruning and dims only where they were asked for."""
        fields = dataclasses.asdict(self)
        fields["dims"] = list(self.dims)
        left_out = {
            *(() if self.prunes or self.channel_sparsity is not None else _PRUNING),
            *(() if self.dims else ("dims",)),
        }
        return {name: value for name, value in fields.items() if name not in left_out}

    @property
    def rounding_method(self) -> Rounding:
        """`rounding`, or that of the preset."""
        return self.rounding or PRESETS[self.preset].rounding

    @property
    def equalizations(self) -> tuple[float, ...]:
        """`equalization` alone, or those that the preset tries."""
        return PRESETS[self.preset].equalizations if self.equalization is None else (self.equalization,)


def _one_of(what: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise UsageError(f"{what} {value!r} is not one of {', '.join(allowed)}")
