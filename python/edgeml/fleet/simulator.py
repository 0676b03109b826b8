# SPDX-License-Identifier: Apache-2.0
"""A fleet in one process: simulated devices on the real intake, store, gates and rollouts, under a clock of its own.

The devices send the real messages, signed, through their bytes; they repeat, delay and reorder them, lose their network, restart,
and have wrong clocks, all from one seed: the same options always give the same history. Only broker and sleeping are left out.
"""

from __future__ import annotations

import hashlib
import json
import math
import random
import tempfile
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from edgeml.errors import UsageError
from edgeml.fleet import audit
from edgeml.fleet.books import books
from edgeml.fleet.drift import Noise
from edgeml.fleet.received import Received, Rejected, read_message
from edgeml.fleet.rollout.driver import advance, devices_of, start_rollout
from edgeml.fleet.rollout.gates import Rate, add_evidence, excess_p_value, log_limit
from edgeml.fleet.rollout.judgement import WINDOW_GATES, judge_devices
from edgeml.fleet.rollout.machine import ACTIVE, State
from edgeml.fleet.rollout.policy import Policy
from edgeml.fleet.store import tables as t
from edgeml.fleet.store.engine import open_store, reading, writing
from edgeml.fleet.store.intake import take_in
from edgeml.fleet.store.release_tables import rollout, want
from edgeml.fleet.update_repository import UpdateRepository
from edgeml.observe.schema import LATENCY_EDGES, Feature, TelemetrySchema
from edgeml.privacy.ledger import Head
from edgeml.telemetry import codec, envelope
from edgeml.telemetry.device_key import DeviceKey
from edgeml.telemetry.messages import WINDOWS_OF_REPORT_MAX, Birth, Event, Message, Report, Window
from edgeml.telemetry.topics import topic
from edgeml.telemetry.varint import pack_counts
from edgeml.telemetry.want import decode_want

MODELS: Final = ("good", "slow", "drifting", "crashing", "silent")
PERIOD_S: Final = 300
START_S: Final = 1_700_000_100 - 1_700_000_100 % PERIOD_S
BASELINE_PERIODS: Final = 4
PERIODS_MAX: Final = 60
SAMPLES: Final = 300  # inferences of a device in a period
NOISE_SCALE: Final = Fraction(2)
TENANT: Final = "sim"
DEVICES_MAX: Final = 10_000
ISAS: Final = ("neondot", "avx2")  # the device classes
POLICY: Final = Policy(soak_s=600, deadline_s=1200, samples_min=300, probation_s=60)


@dataclass(frozen=True, kw_only=True)
class SimOptions:
    """What is simulated. Probabilities are for each device and period.

    Raises:
        UsageError: an unknown model, or a number out of its range.
    """

    model: str = "good"
    devices: int = 1000
    seed: int = 1
    repeat: float = 0.02  # a message comes twice
    cut: float = 0.01  # the network is gone for some periods; the messages come later
    restart: float = 0.005
    wrong_clock: float = 0.01  # of all devices: up to two hours off

    def __post_init__(self) -> None:
        if self.model not in MODELS:
            raise UsageError(f"model {self.model!r} is none of {', '.join(MODELS)}")
        if not 10 <= self.devices <= DEVICES_MAX:
            raise UsageError(f"{self.devices} devices: 10 to {DEVICES_MAX} are possible")


@dataclass(frozen=True, kw_only=True)
class SimReport:
    """How it ended. `reached` counts devices that were ever asked to run the model."""

    model: str
    state: str
    reason: str
    wave: int
    devices: int
    reached: int
    unaccounted: int
    periods: int
    audit_is_intact: bool
    history: str  # SHA-256 over the audit log: equal for equal options

    @property
    def passed(self) -> bool:
        """A good model gets everywhere, any other is rolled back within 2 % of the fleet; the books are closed."""
        is_right = self.state == "done" if self.model == "good" else self.state == "rolled back"
        is_small = self.model == "good" or self.reached <= 0.02 * self.devices
        return is_right and is_small and self.unaccounted == 0 and self.audit_is_intact


def simulate(options: SimOptions) -> SimReport:
    """Play one rollout from its start to its end."""
    with tempfile.TemporaryDirectory(prefix="edgeml-sim-") as folder:
        engine = open_store(f"sqlite:///{folder}/fleet.db")
        try:
            return _Fleet(options, engine, Path(folder)).play()
        finally:
            engine.dispose()


class _Device:
    """One device: what it runs, what it has not delivered yet."""

    def __init__(self, number: int, rng: np.random.Generator, wrong_clock: float) -> None:
        self.name = f"d{number:05d}"
        self.isa = ISAS[number % len(ISAS)]
        self.epoch = hashlib.sha256(self.name.encode()).digest()[:8]
        self.speed = float(rng.lognormal(0, 0.15))  # microseconds are multiplied by it
        self.clock_off_s = int(rng.integers(-7200, 7200)) if rng.random() < wrong_clock else 0
        self.model = b""
        self.seq = 0
        self.windows: list[Window] = []  # the spool: what is not acknowledged
        self.held: list[tuple[str, Message]] = []  # births and events that wait for the network
        self.cut_until = 0
        self.is_silent = False


class _Fleet:
    """The fleet and its devices, one step a period."""

    def __init__(self, options: SimOptions, engine: sa.Engine, folder: Path) -> None:
        self._options = options
        self._engine = engine
        self._rng = np.random.default_rng(options.seed)
        self._order = random.Random(options.seed)  # noqa: S311 - a simulation
        self._key = DeviceKey(hashlib.sha256(b"simulated devices").digest())  # of all of them
        self._repository = UpdateRepository(folder / "updates")
        self._repository.create(START_S)
        self._schema = _schema(np.random.default_rng(0))
        self._old, self._new = (self._register(name) for name in ("old", options.model))
        self._devices = [_Device(number, self._rng, options.wrong_clock) for number in range(options.devices)]
        self._by_name = {device.name: device for device in self._devices}
        for device in self._devices:
            device.model = self._old

    def play(self) -> SimReport:
        """Run a few periods with the old model, then the rollout to its end."""
        now_s, rollout_id, row = START_S, 0, None
        for period in range(PERIODS_MAX):
            now_s = START_S + (period + 1) * PERIOD_S
            self._deliver(now_s)
            if period == BASELINE_PERIODS:
                with writing(self._engine) as connection:
                    rollout_id = start_rollout(
                        connection, self._repository, self._new, POLICY, actor="operator:sim", now_s=now_s
                    )
            advance(self._engine, self._repository, period_s=PERIOD_S, now_s=now_s)
            self._hand_out_wants(now_s)
            if rollout_id:
                with reading(self._engine) as connection:
                    row = connection.execute(sa.select(rollout).where(rollout.c.id == rollout_id)).one()
                if State(row.state) not in ACTIVE:
                    break
        for device in self._devices:
            device.cut_until = 0
        self._deliver(now_s + PERIOD_S)
        assert row is not None  # noqa: S101 - it was started
        return self._report(row, period + 1)

    def _report(self, row: Any, periods: int) -> SimReport:
        with reading(self._engine) as connection:
            log = audit.entries(connection)
            unaccounted = sum(book.unaccounted for book in books(connection))
            reached = sum(one.state != "waiting" for one in devices_of(connection, row.id))
            problem = audit.verify(log, audit.stored_head(connection))
        return SimReport(
            model=self._options.model,
            state=row.state,
            reason=row.reason,
            wave=row.wave,
            devices=len(self._devices),
            reached=reached,
            unaccounted=unaccounted,
            periods=periods,
            audit_is_intact=problem is None,
            history=log[-1].hash.hex(),
        )

    def _register(self, name: str) -> bytes:
        """A model of the registry; its bytes are never run."""
        data = f"simulated model {name}".encode()
        self._repository.put_forward(data, {"name": "sim"}, START_S)
        digest = hashlib.sha256(data).digest()
        schema = {
            "schema_id": self._schema.id,
            "slots": self._schema.slot_count,
            "document": self._schema.to_bytes(),
        }
        row = {
            "model_id": digest[:8],
            "sha256": digest,
            "bytes": len(data),
            "name": "sim",
            "metadata": "{}",
            "schema_id": self._schema.id,
            "pushed_s": START_S,
        }
        with writing(self._engine) as connection:
            known = connection.execute(sa.select(t.telemetry_schema.c.schema_id)).first()
            if known is None:
                connection.execute(sa.insert(t.telemetry_schema), schema)
            connection.execute(sa.insert(t.model), row)
        return digest[:8]

    def _deliver(self, now_s: int) -> None:
        """Let every device say what it has to, in any order, some of it twice."""
        messages: list[tuple[str, str, Message]] = []
        for device in self._devices:
            self._live(device, now_s)
            if now_s >= device.cut_until and not device.is_silent:
                messages += [(device.name, channel, message) for channel, message in device.held]
                messages.append((device.name, "tel", _report_of(device)))
                device.held = []
        messages += [one for one in messages if self._order.random() < self._options.repeat]
        self._order.shuffle(messages)
        births = [one for one in messages if one[1] == "birth"]  # the broker keeps the order of one device's births
        rest = [one for one in messages if one[1] != "birth"]
        batch = [self._through_bytes(*one) for one in [*births, *rest]]
        with writing(self._engine) as connection:
            acks = take_in(connection, batch, now_s=now_s, period_s=PERIOD_S)
        for to in acks:
            if self._order.random() >= self._options.cut:  # an ack that is lost: the windows come again
                device = self._by_name[to.topic.device]
                device.windows = [one for one in device.windows if one.seq > to.ack.contiguous_upto]

    def _live(self, device: _Device, now_s: int) -> None:
        if device.seq == 0 or self._order.random() < self._options.restart:
            device.held.append(("birth", self._birth(device, now_s)))
        if self._order.random() < self._options.cut:
            device.cut_until = now_s + self._order.randint(1, 3) * PERIOD_S
        device.seq += 1
        window = Window(
            seq=device.seq,
            model_id=device.model,
            schema_id=self._schema.id,
            start=max(0, now_s - PERIOD_S + device.clock_off_s),
            end=now_s + device.clock_off_s,
            packed_counts=pack_counts(self._counts(device)),
            noise_scale=NOISE_SCALE,
            epsilon_micro=1_000_000,
        )
        device.windows.append(window)

    def _counts(self, device: _Device) -> NDArray[np.int64]:
        is_new = device.model == self._new
        slow = 4.0 if is_new and self._options.model == "slow" else 1.0
        shift = -0.35 if is_new and self._options.model == "drifting" else 0.0
        latency = self._rng.lognormal(np.log(100 * device.speed * slow), 0.2, SAMPLES)
        confidence = np.clip(self._rng.beta(8, 1.5, SAMPLES) + shift, 0, 1)
        parts = [_slots(confidence, self._schema.features[0].edges), _slots(latency, LATENCY_EDGES)]
        stop = 1 - np.exp(-1 / float(NOISE_SCALE))
        size = self._schema.slot_count
        noise = self._rng.geometric(stop, size) - self._rng.geometric(stop, size)
        counts: NDArray[np.int64] = np.concatenate(parts) + noise
        return counts

    def _hand_out_wants(self, now_s: int) -> None:
        """Give what the driver wants to the devices; they answer with their next messages."""
        with writing(self._engine) as connection:
            query = sa.select(want.c.payload, t.device.c.name).join(t.device, t.device.c.id == want.c.device_id)
            rows = connection.execute(query.where(~want.c.is_sent)).all()
            connection.execute(sa.update(want).values(is_sent=True))
        for row in rows:
            self._obey(self._by_name[row.name], row.payload, now_s)

    def _obey(self, device: _Device, payload: bytes, now_s: int) -> None:
        wanted = decode_want(payload)
        if wanted.is_back:
            device.model, device.is_silent = wanted.digest[:8], False
            self._tell(device, "deploy", {"rollout": wanted.rollout, "stage": "back"}, now_s)
        elif self._options.model == "crashing":
            said = {"rollout": wanted.rollout, "stage": "failed", "reason": "the device did not survive the model"}
            self._tell(device, "rollback", said, now_s)
        elif self._options.model == "silent":
            device.is_silent = True
        else:
            device.model = wanted.digest[:8]
            self._tell(device, "deploy", {"rollout": wanted.rollout, "stage": "confirmed"}, now_s)

    def _tell(self, device: _Device, kind: str, said: dict[str, Any], now_s: int) -> None:
        device.held.append(("birth", self._birth(device, now_s)))
        event = Event(epoch=device.epoch, kind=kind, time=now_s, detail=json.dumps(said))
        device.held.append(("evt", event))

    def _birth(self, device: _Device, now_s: int) -> Birth:
        return Birth(
            epoch=device.epoch,
            edgeml_version="sim",
            isa=device.isa,
            model_id=device.model,
            schema_id=self._schema.id,
            model_name="sim",
            time=max(0, now_s + device.clock_off_s),
            ledger_head=Head(entries=device.seq, hash=_link(device, device.seq)),
        )

    def _through_bytes(self, device: str, channel: str, message: Message) -> Received | Rejected:
        name = topic(TENANT, device, channel)
        payload = envelope.seal(name, codec.encode(message), self._key)
        read = read_message(name, payload, lambda _tenant, _device: (self._key.public,))
        assert read is not None  # noqa: S101 - nothing here is empty
        return read


def _report_of(device: _Device) -> Report:
    return Report(
        epoch=device.epoch,
        produced=device.seq,
        spool_from=device.windows[0].seq,
        windows=tuple(device.windows[:WINDOWS_OF_REPORT_MAX]),
        epsilon_spent_micro=0,
        epsilon_budget_micro=1_000_000,
        ledger_head=Head(entries=device.seq, hash=_link(device, device.seq)),
    )


def _link(device: _Device, entries: int) -> bytes:
    return hashlib.sha256(device.epoch + entries.to_bytes(8, "big")).digest()


def _schema(rng: np.random.Generator) -> TelemetrySchema:
    """Confidence of the output, with a reference as calibration would count it, and latency."""
    edges = tuple(float(np.float32(edge)) for edge in np.linspace(0, 1, 17))
    reference = tuple(int(n) for n in _slots(rng.beta(8, 1.5, 20_000), edges))
    confidence = Feature(
        name="y/confidence", source="output", tensor="y", kind="confidence", index=0, edges=edges, reference=reference
    )
    latency = Feature(
        name="latency_us",
        source="latency",
        tensor="",
        kind="latency_us",
        index=0,
        edges=LATENCY_EDGES,
        reference=(0,) * (len(LATENCY_EDGES) + 2),
    )
    return TelemetrySchema(samples=20_000, features=(confidence, latency))


def _slots(values: NDArray[np.float64], edges: tuple[float, ...]) -> NDArray[np.int64]:
    """Count values in the slots of wire.md, section 1."""
    bins = np.searchsorted(edges, values, side="right")
    bins[values == edges[-1]] = len(edges) - 1
    counted: NDArray[np.int64] = np.bincount(bins + 1, minlength=len(edges) + 2).astype(np.int64)
    return counted


@dataclass(frozen=True, kw_only=True)
class _Asked:
    state: str
    reason: str = ""


def false_stops(rollouts: int, seed: int, policy: Policy = POLICY) -> int:
    """How many of so many rollouts of a good model, to 1,000 devices in two classes, the gates stop.

    The gates and the rule for devices are the real ones; the counts are drawn as the sums over the devices of each slice
    would come, without store and messages, which would take hours for a thousand rollouts.
    """
    rng = np.random.default_rng(seed)
    return sum(_is_stopped(rng, policy) for _ in range(rollouts))


def _is_stopped(rng: np.random.Generator, policy: Policy) -> bool:
    shares = {"latency": (0.04, policy.latency_excess), "errors": (0.0, policy.error_excess)}
    shares["abstain"] = (0.01, policy.abstain_excess)
    limit = log_limit(policy.false_stop / 2, (len(WINDOW_GATES) + 1) * len(ISAS) * len(policy.waves))
    for share in policy.waves:
        asked = math.ceil(share * 500) * len(ISAS)
        states = rng.choice(["confirmed", "silent", "failed"], asked, p=[0.9798, 0.02, 0.0002])
        if judge_devices([_Asked(state=str(state)) for state in states], policy):
            return True
        for _ in ISAS:
            log_e = dict.fromkeys(WINDOW_GATES, 0.0)
            for _period in range(int(rng.integers(2, 12))):
                for gate, (old_share, excess) in shares.items():
                    device_share = min(1.0, old_share * float(rng.lognormal(0, 0.3)))  # the devices of the wave differ
                    new, old = (
                        _noised(rng, n, p) for n, p in ((asked // 2 * SAMPLES, device_share), (10**6, old_share))
                    )
                    log_e[gate] = add_evidence(log_e[gate], excess_p_value(new, old, excess))
                log_e["drift"] = add_evidence(log_e["drift"], float(rng.uniform()))
                if max(log_e.values()) >= limit:
                    return True
    return False


def _noised(rng: np.random.Generator, samples: int, share: float) -> Rate:
    """A count of a quarter of 16 slots, with the noise of a release of every device."""
    releases = 4 * max(1, samples // SAMPLES)
    noise = Noise.of_releases([(NOISE_SCALE.numerator, NOISE_SCALE.denominator, releases)])
    count = rng.binomial(samples, share) + rng.normal(0, math.sqrt(noise.variance))
    return Rate(count=count, samples=samples, variance=noise.variance, fourth_cumulant=noise.fourth_cumulant)
