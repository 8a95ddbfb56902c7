"""What a lockfile should say after an observation: a record of live state, nothing more.

Only ``attempts`` and output digests are carried over from the old one; all else is seen anew, so a
lost lockfile is a nuisance and not an accident.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

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
from reconciler.core.planning.compute import expected_lines
from reconciler.core.planning.orphans import find_orphans
from reconciler.core.planning.resources import decide_all
from reconciler.core.planning.stages import attempts_of, failed_attempts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from reconciler.core.model.desired import Desired, DesiredTarget
    from reconciler.core.model.manifest import ResourceId
    from reconciler.core.model.observed import Observed
    from reconciler.core.model.plan import Action

Entry = TypeVar("Entry")


def record(desired: Desired, observed: Observed, lock: Lock | None, *, api_url: str) -> Lock:
    """Return the lockfile that describes what was observed.

    What is declared and equal live is recorded; what is blocked or unreadable keeps its old entry;
    what the API says is gone loses it.
    """
    old = lock or Lock(api_url)
    actions = decide_all(desired, observed, lock).actions

    def repo(action: Action) -> LockedRepo:
        live = observed.repos.get(action.resource.repo)
        return LockedRepo(live.base_model if isinstance(live, LiveRepo) else None)

    def prompt(action: Action) -> LockedPrompt:
        return LockedPrompt(desired.prompts[action.resource].digest, action.live_name)

    def target(action: Action) -> LockedTarget:
        live = observed.targets[live_address(action)]
        assert isinstance(live, LiveTarget), "a settled target was read"  # noqa: S101
        wanted, locked = desired.targets[action.resource], old.targets.get(action.resource)
        if locked and wanted.id in desired.drawn_in and _same(locked, wanted, action):
            return locked  # its stages were not looked at
        return locked_target(wanted, action.live_name, live, locked)

    targets = _merged(old.targets, desired.targets, actions, target)
    for id_, wanted in desired.targets.items():
        if id_ in targets and id_ not in desired.drawn_in:
            # Protection holds from the moment it is declared, also for what is otherwise blocked.
            protected = wanted.policy.prevent_destroy
            targets[id_] = replace(targets[id_], prevent_destroy=protected)
    for id_ in find_orphans(desired, lock):
        if _is_gone(id_, old, observed):
            targets.pop(id_, None)
    return Lock(
        api_url,
        repos=_merged(old.repos, desired.repos, actions, repo),
        prompts=_merged(old.prompts, desired.prompts, actions, prompt),
        targets=targets,
    )


def _same(locked: LockedTarget, target: DesiredTarget, action: Action) -> bool:
    return (locked.digest, locked.live_name) == (target.digest, action.live_name)


def locked_target(
    target: DesiredTarget, live_name: str, live: LiveTarget, old: LockedTarget | None
) -> LockedTarget:
    """Return the entry of a target that is live as declared, with every stage that is wanted."""
    stages: dict[Stage, LockedStage] = {}
    is_same = old is not None and (old.digest, old.live_name) == (target.digest, live_name)
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
        error=seen.error if failed else None,
        output=previous.output if previous and known else None,
    )


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


def _is_gone(id_: ResourceId, old: Lock, observed: Observed) -> bool:
    locked = old.targets.get(id_)
    name = locked.live_name if locked else id_.name
    return isinstance(observed.target(replace(id_, name=name)), Absent)
