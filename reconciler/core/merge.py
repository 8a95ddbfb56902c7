"""Two lockfiles that went separate ways, made one: three-way, by resource and by stage.

What only one side changed is taken from that side. What both changed comes from the side that saw
more of it; every value of the result stands in one of the sides. Live state is the truth, so a
choice that turns out wrong costs a line in the next diff, never a job: ``attempts`` never falls.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from reconciler.core.model.desired import Stage
from reconciler.core.model.lock import Lock
from reconciler.core.model.observed import COMPLETE, FAILED, NOT_STARTED

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from reconciler.core.model.lock import LockedPrompt, LockedRepo, LockedStage, LockedTarget
    from reconciler.core.model.manifest import ResourceId

Key = TypeVar("Key")
Entry = TypeVar("Entry")

#: How far a job has got, by its status; one that is under way stands between.
_ORDER = {NOT_STARTED: 0, FAILED: 2, COMPLETE: 3}
_UNDER_WAY = 1


class UnmergeableError(Exception):
    """The two do not describe the same thing; the message says what differs."""


def merge(
    base: Lock | None, ours: Lock, theirs: Lock, declared: Mapping[ResourceId, str] | None = None
) -> Lock:
    """Return the lockfile of both sides; ``base`` is what they had in common, None if unknown.

    Where both have given a resource another digest, the one in ``declared`` wins, else ours. Raises
    UnmergeableError for lockfiles of different APIs, and for a repo with two base models.
    """
    _require_one_api(ours, theirs)
    known = base if base and base.api_url == ours.api_url else Lock(ours.api_url)
    digests = declared or {}

    def prompt(
        id_: ResourceId, _: LockedPrompt | None, one: LockedPrompt, other: LockedPrompt
    ) -> LockedPrompt:
        return other if _is_meant(id_, one, other, digests) else one

    def target(
        id_: ResourceId, old: LockedTarget | None, one: LockedTarget, other: LockedTarget
    ) -> LockedTarget:
        chosen = other if _is_meant(id_, one, other, digests) else one
        if _identity(one) == _identity(other):
            chosen = replace(one, stages=_stages(old, one, other))
        return replace(chosen, prevent_destroy=_is_protected(old, one, other))

    return Lock(
        ours.api_url,
        repos=_entries(known.repos, ours.repos, theirs.repos, _repo),
        prompts=_entries(known.prompts, ours.prompts, theirs.prompts, prompt),
        targets=_entries(known.targets, ours.targets, theirs.targets, target),
    )


def _require_one_api(ours: Lock, theirs: Lock) -> None:
    if ours.api_url != theirs.api_url:
        raise UnmergeableError(f"one side records {ours.api_url}, the other {theirs.api_url}")


def _entries(
    base: Mapping[Key, Entry],
    ours: Mapping[Key, Entry],
    theirs: Mapping[Key, Entry],
    both: Callable[[Key, Entry | None, Entry, Entry], Entry],
) -> dict[Key, Entry]:
    """Merge entry by entry; ``both`` decides about those that both sides have changed."""
    merged = {}
    for key in {**ours, **theirs}:
        old, one, other = base.get(key), ours.get(key), theirs.get(key)
        entry = _one_changed(old, one, other)
        if one is not None and other is not None and old not in (one, other) and one != other:
            entry = both(key, old, one, other)
        if entry is not None:
            merged[key] = entry
    return merged


def _one_changed(old: Entry | None, one: Entry | None, other: Entry | None) -> Entry | None:
    """Return the side that changed; where one removed what the other changed, it stays."""
    if one == old:
        return other
    return one if other == old or one is not None else other


def _repo(id_: ResourceId, _: LockedRepo | None, one: LockedRepo, other: LockedRepo) -> LockedRepo:
    if one.base_model is not None and other.base_model is not None:
        models = f"{one.base_model} and {other.base_model}"
        raise UnmergeableError(f"repo {id_} has two base models, {models}")
    return other if one.base_model is None else one


def _identity(entry: LockedPrompt | LockedTarget) -> tuple[str, str]:
    return entry.digest, entry.live_name


def _is_meant(
    id_: ResourceId,
    one: LockedPrompt | LockedTarget,
    other: LockedPrompt | LockedTarget,
    declared: Mapping[ResourceId, str],
) -> bool:
    """Whether it is the other entry, and not this one, that has the declared digest."""
    return other.digest == declared.get(id_) != one.digest


def _is_protected(old: LockedTarget | None, one: LockedTarget, other: LockedTarget) -> bool:
    """Return what the side says that changed it; without a common past, protection wins."""
    if old is None:
        return one.prevent_destroy or other.prevent_destroy
    return (other if one.prevent_destroy == old.prevent_destroy else one).prevent_destroy


def _stages(
    old: LockedTarget | None, one: LockedTarget, other: LockedTarget
) -> dict[Stage, LockedStage]:
    before = old.stages if old and _identity(old) == _identity(one) else {}
    found = _entries(before, one.stages, other.stages, _stage)
    return {stage: found[stage] for stage in Stage if stage in found}


def _stage(_: Stage, _old: LockedStage | None, one: LockedStage, other: LockedStage) -> LockedStage:
    further, behind = (other, one) if _rank(other) > _rank(one) else (one, other)
    if further.output is None and _counts(further) == _counts(behind):
        return replace(further, output=behind.output)
    return further


def _rank(seen: LockedStage) -> tuple[bool, int, int, int]:
    """Return how far a stage had got: attempts and lines only grow, and what is complete stays."""
    order = _ORDER.get(seen.status, _UNDER_WAY)
    return seen.status == COMPLETE, seen.attempts, order, seen.lines


def _counts(seen: LockedStage) -> tuple[str, int]:
    return seen.status, seen.lines
