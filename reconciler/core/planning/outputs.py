"""Which outputs of declared targets can be downloaded, and why the others cannot."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.core.model.desired import Stage
from reconciler.core.model.observed import COMPLETE, LiveStage, LiveTarget, Unreadable
from reconciler.core.model.outputs import Output, Pulled, Verdict
from reconciler.core.model.plan import SETTLED, Verb
from reconciler.core.planning.candidates import live_address
from reconciler.core.planning.resources import decide_all
from reconciler.core.planning.stages import attempts_of, decide

if TYPE_CHECKING:
    from collections.abc import Collection

    from reconciler.core.model.desired import Desired, DesiredTarget
    from reconciler.core.model.lock import Lock
    from reconciler.core.model.observed import Observed
    from reconciler.core.planning.resources import Decisions


def choose(
    desired: Desired, observed: Observed, lock: Lock | None, stages: Collection[Stage]
) -> tuple[Output | Pulled, ...]:
    """Return every wanted output of the targets in scope, or why it cannot be downloaded."""
    decisions = decide_all(desired, observed, lock)
    return tuple(
        _choice(target, stage, decisions)
        for target in sorted(desired.targets.values(), key=lambda target: target.id)
        if target.id not in desired.drawn_in
        for stage in Stage
        if stage in stages and target.stage(stage).wanted
    )


def _choice(target: DesiredTarget, stage: Stage, decisions: Decisions) -> Output | Pulled:
    if target.id in decisions.unknown:
        return Pulled(target.id, stage, Verdict.FAILED, decisions.unknown[target.id].why)
    action = decisions.actions[target.id]
    if action.verb in {Verb.BLOCKED, Verb.REPLACE}:
        text = "the live target is not as declared: `reconciler plan` tells more"
        return Pulled(target.id, stage, Verdict.BLOCKED, text)
    live = decisions.observed.target(live_address(action))
    if action.verb not in SETTLED or not isinstance(live, LiveTarget):
        what = "its revision" if action.verb is Verb.REVISE else "the target"
        text = f"{what} has yet to be created: `reconciler apply` does"
        return Pulled(target.id, stage, Verdict.PENDING, text)
    return _of_stage(target, stage, action.live_name, live, decisions.lock)


def _of_stage(
    target: DesiredTarget, stage: Stage, live_name: str, live: LiveTarget, lock: Lock | None
) -> Output | Pulled:
    seen = _seen(live, stage)
    if isinstance(seen, Unreadable):
        return Pulled(target.id, stage, Verdict.FAILED, seen.why)
    locked = lock.targets.get(target.id) if lock else None
    if seen.status == COMPLETE and seen.lines is not None:
        entry = locked.stages.get(stage) if locked else None
        return Output(target.id, stage, live_name, seen.lines, entry.output if entry else None)
    attempts = attempts_of(locked, target, live_name, stage)
    decision = decide(target.stage(stage), seen, attempts, target.policy)
    verdict = Verdict.BLOCKED if decision.verb is Verb.BLOCKED else Verdict.PENDING
    return Pulled(target.id, stage, verdict, decision.message or seen.status.replace("_", " "))


def _seen(live: LiveTarget, stage: Stage) -> LiveStage | Unreadable:
    """Return what is known of a stage; one that was not asked for waits for its stim."""
    stim = live.stages.get(Stage.STIM, LiveStage())
    waiting = stim if isinstance(stim, Unreadable) else LiveStage()
    return live.stages.get(stage, waiting)
