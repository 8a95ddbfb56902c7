"""The plan as a whole: resources, then stages, orphans, the estimate and the budget."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias, TypeGuard

from reconciler.core.expected import expected_lines
from reconciler.core.model.desired import Stage
from reconciler.core.model.observed import NOT_ASKED, LiveTarget, Unreadable
from reconciler.core.model.plan import CREATES, Action, Plan, Reason, Unknown, Verb
from reconciler.core.planning import fingerprint, stages
from reconciler.core.planning.candidates import live_address
from reconciler.core.planning.estimate import estimates, total
from reconciler.core.planning.gates import within_budget
from reconciler.core.planning.orphans import find_orphans, prunings
from reconciler.core.planning.resources import decide_all, describe_loss

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from reconciler.core.model.desired import Desired, DesiredTarget
    from reconciler.core.model.lock import Lock, LockedTarget
    from reconciler.core.model.observed import Observed

Item: TypeAlias = Action | Unknown


def compute_plan(
    desired: Desired,
    observed: Observed,
    lock: Lock | None,
    *,
    api_url: str,
    prune: bool = False,
) -> Plan:
    """Return what has to happen for live state to satisfy everything declared."""
    decisions = decide_all(desired, observed, lock)
    orphans = find_orphans(desired, lock)
    items: list[Item] = list(decisions.unknown.values())
    for id_, action in decisions.actions.items():
        target = desired.targets.get(id_)
        items.extend(_with_stages(target, action, observed, lock) if target else [action])
    if prune:
        items.extend(prunings(orphans, desired, observed, lock))
    actions = tuple(item for item in items if isinstance(item, Action) and not _is_accepted(item))
    parts = estimates(actions, desired, observed)
    plan = Plan(
        api_url=api_url,
        actions=actions,
        unknown=tuple(item for item in items if isinstance(item, Unknown)),
        orphans=orphans,
        accepted_shortfalls=tuple(filter(_is_accepted, items)),
        estimate=total(parts),
        estimates=parts,
        live_names=decisions.live_names,
        declared=fingerprint.declared(desired),
        drawn_in=desired.drawn_in,
    )
    return within_budget(plan, desired)


def _with_stages(
    target: DesiredTarget, action: Action, observed: Observed, lock: Lock | None
) -> Sequence[Item]:
    if action.verb is Verb.BLOCKED:
        return [action]
    if action.verb in CREATES:
        return [action, *_fresh_stages(target, action.live_name)]
    live = observed.target(live_address(action))
    if not isinstance(live, LiveTarget):
        return [Unknown(target.id, NOT_ASKED.why)]
    return _with_live_stages(target, action, live, lock)


def _with_live_stages(
    target: DesiredTarget, action: Action, live: LiveTarget, lock: Lock | None
) -> Sequence[Item]:
    found = list(_live_stages(target, action.live_name, live, lock))
    replaced = next((i for i in found if isinstance(i, Action) and i.verb is Verb.REPLACE), None)
    if replaced:
        return _replacement(target, replaced, live)
    accepted = list(filter(_is_accepted, found))
    moving = [i for i in found if isinstance(i, Unknown) or i.verb is not Verb.UNCHANGED]
    if moving or action.verb is Verb.ADOPT:
        return [*([action] if action.verb is Verb.ADOPT else []), *accepted, *moving]
    return [_with_shortfalls(action, accepted) if accepted else action, *accepted]


def _live_stages(
    target: DesiredTarget, live_name: str, live: LiveTarget, lock: Lock | None
) -> Iterator[Item]:
    locked = lock.targets.get(target.id) if lock else None
    for stage in Stage:
        if not target.stage(stage).wanted:
            return
        item = _live_stage(target, stage, live_name, live, locked)
        yield item
        if isinstance(item, Unknown) or item.verb is Verb.BLOCKED:
            return
        if item.verb is not Verb.UNCHANGED:
            if stage is Stage.STIM:
                yield from _rollout_after_stim(target, live_name)
            return


def _live_stage(
    target: DesiredTarget,
    stage: Stage,
    live_name: str,
    live: LiveTarget,
    locked: LockedTarget | None,
) -> Item:
    seen = live.stages.get(stage, NOT_ASKED)
    if isinstance(seen, Unreadable):
        return Unknown(target.id, f"{stage}: {seen.why}")
    want, attempts = target.stage(stage), stages.attempts_of(locked, target, live_name, stage)
    decision = stages.decide(want, seen, attempts, target.policy)
    return Action(
        decision.verb,
        target.id,
        decision.reason,
        stage,
        live_name,
        lines=seen.lines or 0,
        wanted=want.min_lines,
        expected=expected_lines(target, stage, live),
        message=decision.message,
    )


def _fresh_stages(target: DesiredTarget, live_name: str) -> Iterator[Action]:
    if target.stim.wanted:
        yield _run(target, Stage.STIM, live_name, Reason.NOT_STARTED)
        yield from _rollout_after_stim(target, live_name)


def _rollout_after_stim(target: DesiredTarget, live_name: str) -> Iterator[Action]:
    if target.rollout.wanted:
        yield _run(target, Stage.ROLLOUT, live_name, Reason.AFTER_STIM)


def _run(target: DesiredTarget, stage: Stage, live_name: str, reason: Reason) -> Action:
    want = target.stage(stage)
    return Action(
        Verb.RUN,
        target.id,
        reason,
        stage,
        live_name,
        lines=0,
        wanted=want.min_lines,
        expected=want.reach,
    )


def _replacement(target: DesiredTarget, why: Action, live: LiveTarget) -> Sequence[Action]:
    whole = replace(why, stage=None, message=describe_loss(why.live_name, live))
    if target.policy.prevent_destroy:
        return [replace(whole, verb=Verb.BLOCKED, reason=Reason.PREVENT_DESTROY)]
    return [whole, *_fresh_stages(target, why.live_name)]


def _is_accepted(item: Item) -> TypeGuard[Action]:
    """Tell whether this says of a stage that fewer lines than wanted will do."""
    return (
        isinstance(item, Action)
        and item.stage is not None
        and item.reason is Reason.SHORTFALL_ACCEPTED
    )


def _with_shortfalls(action: Action, accepted: Sequence[Action]) -> Action:
    counts = (f"{a.lines or 0:,} of {a.wanted or 0:,} {a.stage} lines" for a in accepted)
    text = f"{' and '.join(counts)}, accepted by policy"
    return replace(action, reason=Reason.SHORTFALL_ACCEPTED, message=text)
