"""A stand-in for live state made of the lockfile, for plans without a connection.

It knows that something changed since, but not what: the lockfile holds digests. What is not
declared here is taken to exist, since nobody can be asked.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from reconciler.core.equality.normalize import PROMPT_FIELDS
from reconciler.core.model.desired import Stage
from reconciler.core.model.lock import Lock
from reconciler.core.model.observed import (
    Absent,
    LivePrompt,
    LiveRepo,
    LiveStage,
    LiveTarget,
    Observed,
    Unreadable,
)
from reconciler.core.model.plan import Reason
from reconciler.core.planning.candidates import candidates
from reconciler.core.planning.compute import compute_plan
from reconciler.core.planning.orphans import find_orphans
from reconciler.core.planning.resources import resolved

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.core.model.desired import Desired, DesiredRepo
    from reconciler.core.model.lock import LockedRepo, LockedTarget
    from reconciler.core.model.manifest import JsonObject, ResourceId
    from reconciler.core.model.observed import SeenPrompt, SeenRepo, SeenTarget
    from reconciler.core.model.plan import Action, Plan

#: Stands for content that is not the declared one; equal to nothing a manifest can say.
_OTHER = {"": "changed since the lockfile was written"}
SINCE = "changed since the lockfile was written; a live plan tells which fields"


def compute_offline_plan(
    desired: Desired, lock: Lock | None, *, api_url: str, prune: bool = False
) -> Plan:
    """Return the plan if live state were what the lockfile says."""
    plan = compute_plan(desired, observed_from(desired, lock), lock, api_url=api_url, prune=prune)
    actions = tuple(_without_guesses(action) for action in plan.actions)
    return replace(plan, actions=actions, offline=True)


def belongs(desired: Desired, lock: Lock | None) -> list[str]:
    """Return how a lockfile differs from the manifests, a line each; none if it belongs to them."""
    known = lock or Lock("")
    new = sorted(desired.ids() - known.ids())
    gone = sorted(known.ids() - desired.ids() - desired.out_of_scope)
    return [
        *(f"{_name(id_)} is not in the lockfile" for id_ in new),
        *(f"{_name(id_)} is in the lockfile, but not declared" for id_ in gone),
        *(
            f"{_name(id_)} has changed since the lockfile was written"
            for id_ in _changed(desired, known)
        ),
    ]


def _changed(desired: Desired, known: Lock) -> Iterator[ResourceId]:
    for id_, repo in sorted(desired.repos.items()):
        if _is_other_model(repo, known.repos.get(id_)):
            yield id_
    declared, recorded = desired.digests(), known.digests()
    for id_ in sorted(declared.keys() & recorded.keys()):
        if declared[id_] != recorded[id_]:
            yield id_


def _is_other_model(repo: DesiredRepo, locked: LockedRepo | None) -> bool:
    known = locked.base_model if locked else None
    return None not in {repo.base_model, known} and repo.base_model != known


def _name(id_: ResourceId) -> str:
    return f"{id_.kind.lower()} {id_}"


def observed_from(desired: Desired, lock: Lock | None) -> Observed:
    """Return live state as it would be if the lockfile told the truth."""
    known = lock or Lock("")
    undeclared = {id_.repo for id_ in desired.ids()} - {id_.repo for id_ in desired.repos}
    repos: dict[str, SeenRepo] = {id_.repo: Absent() for id_ in desired.repos}
    repos |= {name: LiveRepo(None) for name in undeclared}
    repos |= {id_.repo: LiveRepo(entry.base_model) for id_, entry in known.repos.items()}
    orphans: dict[ResourceId, SeenTarget] = {
        id_.called(known.targets[id_].live_name): _live(known.targets[id_], _OTHER)
        for id_ in find_orphans(desired, lock)
        if id_ in known.targets
    }
    names = _named(desired)
    return Observed(
        repos=repos,
        prompts=dict(_prompts(desired, known)),
        targets={**orphans, **dict(_targets(desired, known))},
        prompt_names=dict.fromkeys(repos, names),
        target_names=dict.fromkeys(repos, names),
    )


def _prompts(desired: Desired, lock: Lock) -> Iterator[tuple[ResourceId, SeenPrompt]]:
    for id_, prompt in desired.prompts.items():
        yield from ((candidate, Absent()) for candidate in candidates(prompt))
        locked = lock.prompts.get(id_)
        if locked:
            yield id_, LivePrompt({"messages": [_OTHER]})
        if locked and locked.digest == prompt.digest:
            yield id_.called(locked.live_name), LivePrompt(prompt.content)


def _targets(desired: Desired, lock: Lock) -> Iterator[tuple[ResourceId, SeenTarget]]:
    live_names = {id_: entry.live_name for id_, entry in lock.prompts.items()}
    for id_, target in desired.targets.items():
        yield from ((candidate, Absent()) for candidate in candidates(target))
        locked = lock.targets.get(id_)
        if locked:
            yield id_, _live(locked, _OTHER)
        if locked and locked.digest == target.digest:
            config = resolved(target.config, target.repo, live_names)
            yield id_.called(locked.live_name), _live(locked, config)


def _live(locked: LockedTarget, config: JsonObject) -> LiveTarget:
    stages: dict[Stage, LiveStage | Unreadable] = dict.fromkeys(Stage, LiveStage())
    for stage, seen in locked.stages.items():
        stages[stage] = LiveStage(seen.status, seen.lines, seen.expected, seen.error)
    return LiveTarget(config, stages)


def _named(desired: Desired) -> frozenset[str]:
    """Return every name that something declared refers to: offline, all of them may exist."""
    targets = desired.targets.values()
    prompts = (target.config.get(field) for target in targets for field in PROMPT_FIELDS)
    return frozenset({*filter(None, prompts), *(target.template for target in targets)})


def _without_guesses(action: Action) -> Action:
    if action.reason not in {Reason.CONFIG_CHANGED, Reason.CONTENT_CHANGED}:
        return action
    message = f"{action.message}; {SINCE}" if action.message else SINCE
    return replace(action, diff=(), message=message)
