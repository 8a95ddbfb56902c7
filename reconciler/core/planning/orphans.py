"""What the lockfile knows and no manifest declares any more, and what may be done about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.core.model.observed import LiveTarget, Unreadable
from reconciler.core.model.plan import Action, Reason, Unknown, Verb
from reconciler.core.planning.resources import describe_data, unreadable_stage

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from reconciler.core.model.desired import Desired
    from reconciler.core.model.lock import Lock, LockedTarget
    from reconciler.core.model.manifest import ResourceId
    from reconciler.core.model.observed import Observed

_NOTHING_DECLARED = "nothing is declared at all, which looks like a mistake"


def find_orphans(desired: Desired, lock: Lock | None) -> tuple[ResourceId, ...]:
    """Return what the lockfile knows and no manifest declares any more, sorted.

    Of a shard only its own: every orphan is that of exactly one shard.
    """
    if lock is None:
        return ()
    found = lock.ids() - desired.ids() - desired.out_of_scope
    shard = desired.scope.shard if desired.scope else None
    return tuple(sorted(id_ for id_ in found if shard is None or id_ in shard))


def prunable(orphans: Iterable[ResourceId], desired: Desired) -> Iterator[ResourceId]:
    """Return the orphans that a run may touch: with a selection, those that it covers."""
    scope = desired.scope
    return (id_ for id_ in orphans if scope is None or scope.covers(id_))


def prunings(
    orphans: Sequence[ResourceId], desired: Desired, observed: Observed, lock: Lock | None
) -> Iterator[Action | Unknown]:
    """Delete orphaned targets in reverse order; prompts and repos are only forgotten."""
    for id_ in prunable(reversed(orphans), desired):
        locked = lock.targets.get(id_) if lock else None
        if locked is None:
            continue
        live = observed.target(id_.called(locked.live_name))
        if isinstance(live, Unreadable):
            yield Unknown(id_, live.why)
        elif isinstance(live, LiveTarget):
            yield _pruning(id_, locked, live, desired)


def _pruning(
    id_: ResourceId, locked: LockedTarget, live: LiveTarget, desired: Desired
) -> Action | Unknown:
    data, declared = describe_data(live), _declares_anything(desired)
    if unreadable_stage(live):
        return Unknown(id_, unreadable_stage(live))
    if locked.prevent_destroy or not declared:
        message = data if declared else _NOTHING_DECLARED
        return Action(
            Verb.BLOCKED, id_, Reason.PREVENT_DESTROY, live_name=locked.live_name, message=message
        )
    return Action(Verb.DELETE, id_, Reason.ORPHAN, live_name=locked.live_name, message=data)


def _declares_anything(desired: Desired) -> bool:
    return any((desired.repos, desired.prompts, desired.targets, desired.out_of_scope))
