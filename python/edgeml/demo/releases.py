# SPDX-License-Identifier: Apache-2.0
"""The second half of the demo: retrain on drifted pictures, roll out in waves; then a broken model that does not get far."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from edgeml.artifact import Artifact
from edgeml.demo import retraining
from edgeml.demo.camera import FAULTS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edgeml.demo.fleet import Fleet
    from edgeml.demo.progress import Progress

ROLLOUT_TIMEOUT_S: Final = 150.0
POLL_S: Final = 0.25
ENDED: Final = ("done", "rolled back")

CARD: Final = """\
risk_tier = "{tier}"
owner = "you"
playbook = "Clean the lens, straighten the camera; abort the rollout."
business_metric = "digits read right"
"""

# Minutes instead of hours. The latency limit is wide: all devices share this machine. Decisions may differ on most pictures,
# since the retrained model is wanted to read what the old one misreads.
POLICY: Final = """\
waves = [0.2, 0.6, 1.0]
soak_s = 2
deadline_s = 60
samples_min = 300
shadow_inferences = 100
shadow_disagreement_max = 0.85
probation_inferences = 200
probation_s = 2
latency_ratio_max = 20.0
latency_excess = 0.8
abstain_excess = 0.5
drift_psi = 5.0
"""


@dataclass(frozen=True, kw_only=True)
class Release:
    """How a rollout went, by the fleet's account."""

    model_id: str  # hex
    state: str
    reason: str  # why it was stopped, "" where it was not
    asked: int  # devices that were to run the model
    confirmed: int  # that do
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Releases:
    """Both rollouts, and what retraining brought: accuracy on test digits by fault, before and after."""

    retrained: Release
    broken: Release
    accuracy_before: dict[str, float]
    accuracy_after: dict[str, float]
    audit_is_intact: bool


def release(fleet: Fleet, first: Path, work: Path, progress: Progress, look: Callable[[], object]) -> Releases:
    """Retrain, roll out, break. `look` shows devices and fleet while it waits."""
    policy = work / "policy.toml"
    policy.write_text(POLICY, encoding="utf-8")
    progress.step("retraining with pictures as the drifted cameras take them")
    model = retraining.retrain()
    good, bad = work / "retrained.edgeml", work / "broken.edgeml"
    retraining.convert(model, good)
    before = {name: retraining.accuracy(first, fault) for name, fault in FAULTS.items()}
    after = {name: retraining.accuracy(good, fault) for name, fault in FAULTS.items()}
    for name in FAULTS:
        progress.step(f"{name}: {before[name]:.0%} of the digits read right before, {after[name]:.0%} now")
    retrained = _roll_out(fleet, good, policy, progress, look)
    progress.step("a broken model next: its table of labels is off by one")
    retraining.convert(retraining.mix_up_classes(model), bad)
    broken = _roll_out(fleet, bad, policy, progress, look)
    return Releases(
        retrained=retrained,
        broken=broken,
        accuracy_before=before,
        accuracy_after=after,
        audit_is_intact=fleet.audit_is_intact(),
    )


def write_card(path: Path, tier: str) -> Path:
    """Write a model card."""
    path.write_text(CARD.format(tier=tier), encoding="utf-8")
    return path


def _roll_out(fleet: Fleet, artifact: Path, policy: Path, progress: Progress, look: Callable[[], object]) -> Release:
    fleet.push(artifact, write_card(artifact.with_suffix(".toml"), "high"))
    began_s = time.monotonic()
    number = fleet.roll_out(artifact, policy)
    shown: tuple[Any, ...] = ()
    while True:
        look()
        time.sleep(POLL_S)
        state = fleet.rollout(number)
        states = [one for wave in state["waves"] for one in wave["states"]]
        confirmed, asked = states.count("confirmed"), len(states) - states.count("waiting")
        if (state["state"], state["wave"], confirmed) != shown:
            shown = (state["state"], state["wave"], confirmed)
            waves = len(state["waves"])
            progress.step(
                f"rollout {number}: {state['state']}, wave {state['wave'] + 1} of {waves}, {confirmed} of {asked} devices trust it"
            )
        if state["state"] in ENDED or time.monotonic() - began_s > ROLLOUT_TIMEOUT_S:
            break
    if state["reason"]:
        progress.step(f"rollout {number} was stopped: {state['reason']}")
    return Release(
        model_id=Artifact.load(artifact).model_id.hex(),
        state=state["state"],
        reason=state["reason"],
        asked=asked,
        confirmed=confirmed,
        seconds=time.monotonic() - began_s,
    )
