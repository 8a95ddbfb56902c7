"""What a lockfile should say after an observation: a record of live state, nothing more.

Only ``attempts`` and output digests are carried over from the old one; all else is seen anew, so a
lost lockfile is a nuisance and not an accident.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from reconciler.core.expected import expected_lines
from reconciler.core.model.desired import Stage
from reconciler.core.model.lock import Lock, LockedPrompt, LockedRepo, LockedStage, LockedTarget
from reconciler.core.model.observed import (
    COMPLETE,
    FAILED,
    Absent,
    LiveRepo,
    LiveStage,
    LiveTarget,
    Unreadable,
)
from reconciler.core.model.plan import SETTLED, Verb
from reconciler.core.planning.candidates import live_address
from reconciler.core.planning.orphans import find_orphans
from reconciler.core.planning.resources import decide_all
from reconciler.core.planning.stages import attempts_of, failed_attempts, is_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from reconciler.core.model.desired import Desired, DesiredTarget
    from reconciler.core.model.manifest import ResourceId
    from reconciler.core.model.observed import Observed
    from reconciler.core.model.plan import Action

Entry = TypeVar("Entry")
#: So many characters of what a service says of a failure are recorded.
LONGEST_ERROR = 300


def record(desired: Desired, observed: Observed, lock: Lock | None, *, api_url: str) -> Lock:
    """Return the lockfile that describes what was observed.

    What is declared and equal live is recorded; what is blocked or unreadable keeps its old entry;
    what the API says is gone loses it.
    """
    old = lock or Lock(api_url)
    actions = decide_all(desired, observed, lock).actions
    return Lock(
        api_url,
        repos=_merged(old.repos, desired.repos, actions, partial(_repo, observed)),
        prompts=_merged(old.prompts, desired.prompts, actions, partial(_prompt, desired)),
        targets=_targets(desired, observed, old, actions),
    )


def _repo(observed: Observed, action: Action) -> LockedRepo:
    live = observed.repos.get(action.resource.repo)
    return LockedRepo(live.base_model if isinstance(live, LiveRepo) else None)


def _prompt(desired: Desired, action: Action) -> LockedPrompt:
    return LockedPrompt(desired.prompts[action.resource].digest, action.live_name)


def _targets(
    desired: Desired, observed: Observed, old: Lock, actions: Mapping[ResourceId, Action]
) -> dict[ResourceId, LockedTarget]:
    make = partial(_target, desired, observed, old.targets)
    found = _merged(old.targets, desired.targets, actions, make)
    for id_ in found.keys() & desired.targets.keys() - desired.drawn_in:
        # Protection holds from the moment it is declared, also for what is otherwise blocked.
        protected = desired.targets[id_].policy.prevent_destroy
        found[id_] = replace(found[id_], prevent_destroy=protected)
    for id_ in find_orphans(desired, old):
        if id_ in found and _is_gone(id_, found[id_].live_name, observed):
            del found[id_]
    return found


def _target(
    desired: Desired,
    observed: Observed,
    old: Mapping[ResourceId, LockedTarget],
    action: Action,
) -> LockedTarget:
    live = observed.targets[live_address(action)]
    assert isinstance(live, LiveTarget), "a settled target was read"  # noqa: S101
    target, locked = desired.targets[action.resource], old.get(action.resource)
    if locked and target.id in desired.drawn_in and is_of(locked, target, action.live_name):
        return locked  # its stages were not looked at
    return locked_target(target, action.live_name, live, locked)


def locked_target(
    target: DesiredTarget, live_name: str, live: LiveTarget, old: LockedTarget | None
) -> LockedTarget:
    """Return the entry of a target that is live as declared, with every stage that is wanted."""
    stages: dict[Stage, LockedStage] = {}
    is_same = is_of(old, target, live_name)
    for stage in Stage:
        if target.stage(stage).wanted:
            previous = old.stages.get(stage) if old else None
            attempts = attempts_of(old, target, live_name, stage)
            seen = live.stages.get(stage, _not_asked(live))
            expected = expected_lines(target, stage, live)
            entry = _locked_stage(seen, expected, attempts, previous, is_same=is_same)
            if entry:
                stages[stage] = entry
    return LockedTarget(target.digest, live_name, target.policy.prevent_destroy, stages)


def _not_asked(live: LiveTarget) -> LiveStage | Unreadable:
    """Return what is known of a stage that was not asked for, because of the one before it."""
    stim = live.stages.get(Stage.STIM)
    return stim if isinstance(stim, Unreadable) else LiveStage()


def _locked_stage(
    seen: LiveStage | Unreadable,
    expected: int | None,
    attempts: int,
    previous: LockedStage | None,
    *,
    is_same: bool,
) -> LockedStage | None:
    """Return what to record of a stage; its output is known only of the same live target."""
    if isinstance(seen, Unreadable):
        return previous
    lines = seen.lines or 0
    complete, failed = seen.status == COMPLETE, seen.status == FAILED
    known = is_same and previous is not None and complete and lines == previous.lines
    return LockedStage(
        status=seen.status,
        lines=lines,
        expected=expected,
        attempts=0 if complete else failed_attempts(attempts) if failed else attempts,
        error=_shortened(seen.error) if failed else None,
        output=previous.output if previous and known else None,
    )


def _shortened(sentence: str | None) -> str | None:
    if sentence is None or len(sentence) <= LONGEST_ERROR:
        return sentence
    return f"{sentence[: LONGEST_ERROR - 1].rstrip()}…"


def _merged(
    old: Mapping[ResourceId, Entry],
    declared: Mapping[ResourceId, object],
    actions: Mapping[ResourceId, Action],
    make: Callable[[Action], Entry],
) -> dict[ResourceId, Entry]:
    new = dict(old)
    for id_ in declared:
        action = actions.get(id_)
        if action and action.verb in SETTLED:
            new[id_] = make(action)
        elif action and action.verb is Verb.CREATE:
            new.pop(id_, None)
    return new


def _is_gone(id_: ResourceId, live_name: str, observed: Observed) -> bool:
    return isinstance(observed.target(id_.called(live_name)), Absent)
