# SPDX-License-Identifier: Apache-2.0
"""The messages between device and fleet, as values (docs/design/wire.md, sections 2 to 4).

Every class checks its ranges on construction, so that whatever exists can be encoded, and whatever was decoded is sane.
Raises `edgeml.errors.WireError` otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

from edgeml.errors import WireError
from edgeml.privacy.chain import HASH_BYTES
from edgeml.privacy.ledger import Head
from edgeml.telemetry.varint import unpack_counts

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

WIRE_VERSION: Final = 1
MESSAGE_BYTES_MAX: Final = 256 << 10
WINDOWS_OF_REPORT_MAX: Final = 64
HOLES_MAX: Final = 1024
LOST_RANGES_MAX: Final = 64
NO_HEAD: Final = Head(entries=0, hash=bytes(HASH_BYTES))  # the fleet knows no entry of the epoch
ID_BYTES: Final = 8  # of epoch, model id and schema id
UINT_MAX: Final = 2**63 - 1  # what SQL integers hold
TEXT_CHARACTERS_MAX: Final = 4096


@dataclass(frozen=True, kw_only=True)
class Window:
    """Released counts of one time span.

    With `merged` above 1 it is the sum of the windows seq - merged + 1 up to seq, which were added on the device.
    `start` and `end` are unix seconds. `packed_counts` are zigzag varints, one a slot (`counts` unpacks them). The
    noise of every slot is the sum of `merged` independent discrete Laplace draws of scale `noise_scale`.
    """

    seq: int
    model_id: bytes
    schema_id: bytes
    start: int
    end: int
    packed_counts: bytes
    noise_scale: Fraction
    merged: int = 1
    epsilon_micro: int

    # The window vector, one int64 a slot; read-only.
    counts: NDArray[np.int64] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        if not self._is_sound():
            self._name_the_fault()
        counts = unpack_counts(self.packed_counts)
        counts.setflags(write=False)
        object.__setattr__(self, "counts", counts)

    @property
    def first_seq(self) -> int:
        """The first of the windows in it."""
        return self.seq - self.merged + 1

    def _is_sound(self) -> bool:
        """All checks at once: a collector makes very many windows."""
        return (
            type(self.seq) is type(self.merged) is type(self.start) is type(self.end) is type(self.epsilon_micro) is int
            and type(self.model_id) is type(self.schema_id) is type(self.packed_counts) is bytes
            and type(self.noise_scale) is Fraction
            and len(self.model_id) == len(self.schema_id) == ID_BYTES
            and 1 <= self.merged <= self.seq <= UINT_MAX
            and 0 <= self.start <= self.end <= UINT_MAX
            and 1 <= self.epsilon_micro <= UINT_MAX
            and 1 <= self.noise_scale.numerator <= UINT_MAX
            and self.noise_scale.denominator <= UINT_MAX
        )

    def _name_the_fault(self) -> None:
        check_uint(self.seq, "seq", least=1)
        check_id(self.model_id, "model id")
        check_id(self.schema_id, "schema id")
        check_uint(self.start, "start")
        check_uint(self.end, "end", least=self.start)
        if not isinstance(self.noise_scale, Fraction):
            raise WireError("noise scale must be a fraction")
        check_uint(self.noise_scale.numerator, "numerator of the noise scale", least=1)
        check_uint(self.noise_scale.denominator, "denominator of the noise scale", least=1)
        check_uint(self.merged, "windows merged", least=1, most=self.seq)
        check_uint(self.epsilon_micro, "epsilon of a release", least=1)
        if not isinstance(self.packed_counts, bytes):
            raise WireError("counts must be a byte string")


@dataclass(frozen=True, kw_only=True)
class Birth:
    """Sent retained at every connect: who the device is, what it runs, its newest ledger entry. `time` is unix seconds."""

    epoch: bytes
    edgeml_version: str
    isa: str
    model_id: bytes
    schema_id: bytes
    model_name: str
    time: int
    ledger_head: Head

    def __post_init__(self) -> None:
        check_id(self.epoch, "epoch")
        check_text(self.edgeml_version, "edgeml version")
        check_text(self.isa, "isa")
        check_id(self.model_id, "model id")
        check_id(self.schema_id, "schema id")
        check_text(self.model_name, "model name")
        check_uint(self.time, "time")
        check_head(self.ledger_head)


@dataclass(frozen=True, kw_only=True)
class Report:
    """Windows, with what the books need: `produced` is the highest seq so far, `spool_from` the lowest still held.

    `lost` are ranges of seqs, first to last, that the device made and its medium destroyed: nobody will ever have them.
    """

    epoch: bytes
    produced: int
    spool_from: int
    windows: tuple[Window, ...]
    epsilon_spent_micro: int
    epsilon_budget_micro: int
    ledger_head: Head
    lost: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        check_id(self.epoch, "epoch")
        check_uint(self.produced, "produced")
        check_uint(self.spool_from, "spool_from", least=1, most=self.produced + 1)
        if not isinstance(self.windows, tuple) or len(self.windows) > WINDOWS_OF_REPORT_MAX:
            raise WireError(f"a report has at most {WINDOWS_OF_REPORT_MAX} windows")
        if not self.windows and not self.lost:
            raise WireError("a report has windows, or says which are lost")
        least = self.spool_from
        for window in self.windows:
            if not least <= window.seq <= self.produced:
                check_uint(window.seq, "seq", least=least, most=self.produced)
            least = window.seq + 1
        check_uint(self.epsilon_spent_micro, "epsilon spent today")
        check_uint(self.epsilon_budget_micro, "budget of a day")
        check_head(self.ledger_head)
        self._check_lost()

    @property
    def upto(self) -> int:
        """The highest seq that it tells of."""
        return max([window.seq for window in self.windows[-1:]] + [last for _, last in self.lost[-1:]])

    def _check_lost(self) -> None:
        if not isinstance(self.lost, tuple) or len(self.lost) > LOST_RANGES_MAX:
            raise WireError(f"a report has at most {LOST_RANGES_MAX} lost ranges")
        least = self.spool_from
        for first, last in self.lost:
            check_uint(first, "lost seq", least=least, most=self.produced)
            check_uint(last, "lost seq", least=first, most=self.produced)
            least = last + 1


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that people want to know: `budget_spent`, `spool_recovered`, ... `time` is unix seconds."""

    epoch: bytes
    kind: str
    time: int
    detail: str

    def __post_init__(self) -> None:
        check_id(self.epoch, "epoch")
        check_text(self.kind, "kind")
        check_uint(self.time, "time")
        check_text(self.detail, "detail")


@dataclass(frozen=True, kw_only=True)
class Ack:
    """Fleet to device, after the commit: every seq up to `contiguous_upto` is stored or lost, the `holes` above are stored.

    `ledger_head` is the newest ledger entry of the epoch that the fleet has heard of.
    """

    epoch: bytes
    contiguous_upto: int
    holes: tuple[int, ...] = ()
    ledger_head: Head = NO_HEAD

    def __post_init__(self) -> None:
        check_id(self.epoch, "epoch")
        check_head(self.ledger_head)
        check_uint(self.contiguous_upto, "contiguous_upto")
        if not isinstance(self.holes, tuple) or len(self.holes) > HOLES_MAX:
            raise WireError(f"an ack has at most {HOLES_MAX} holes")
        least = self.contiguous_upto + 1
        for seq in self.holes:
            check_uint(seq, "hole", least=least)
            least = seq + 1


@dataclass(frozen=True, kw_only=True)
class LastWill:
    """What the broker sends for a device that has vanished."""

    epoch: bytes

    def __post_init__(self) -> None:
        check_id(self.epoch, "epoch")


Message = Birth | Report | Event | Ack | LastWill


def check_uint(value: Any, what: str, *, least: int = 0, most: int = UINT_MAX) -> None:
    """Raise WireError unless `value` is an integer of least..most."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise WireError(f"{what} must be an integer")
    if not least <= value <= min(most, UINT_MAX):
        raise WireError(f"{what} is {value}, outside {least}..{min(most, UINT_MAX)}")


def check_id(value: Any, what: str) -> None:
    """Raise WireError unless `value` is 8 bytes."""
    if not isinstance(value, bytes) or len(value) != ID_BYTES:
        raise WireError(f"{what} must be {ID_BYTES} bytes")


def check_head(value: Any) -> None:
    """Raise WireError unless `value` is a head of a ledger."""
    if not isinstance(value, Head):
        raise WireError("the head of the ledger is missing")
    check_uint(value.entries, "number of a ledger entry")
    if not isinstance(value.hash, bytes) or len(value.hash) != HASH_BYTES:
        raise WireError(f"the hash of a ledger entry must be {HASH_BYTES} bytes")


def check_text(value: Any, what: str) -> None:
    """Raise WireError unless `value` is text of at most TEXT_CHARACTERS_MAX characters."""
    if not isinstance(value, str) or len(value) > TEXT_CHARACTERS_MAX:
        raise WireError(f"{what} must be text of at most {TEXT_CHARACTERS_MAX} characters")
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise WireError(f"{what} is not valid Unicode")
