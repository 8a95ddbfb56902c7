"""Narrowing a run to some of the declared targets, with everything those depend on.

What is left out is remembered as declared, so that nobody takes it for an orphan. Something asked
for that matches nothing is an error, never an empty success.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from reconciler.core.equality import normalize
from reconciler.core.errors import UsageError
from reconciler.core.model.manifest import Kind, ResourceId
from reconciler.core.names import suggest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from reconciler.core.model.desired import Desired, DesiredTarget
    from reconciler.core.selection.shard import Shard


@dataclass(frozen=True, slots=True)
class Scope:
    """Which targets a run is about: those with all ``labels``, of ``targets``, not ``excluded``.

    ``targets`` and ``excluded`` are addresses like ``repo/name``, in which ``*`` and ``?`` match.
    Of those, only the ones of the ``shard``, which may be none.
    """

    labels: tuple[tuple[str, str], ...] = ()
    targets: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    shard: Shard | None = None

    def __bool__(self) -> bool:
        return bool(self.selects or self.shard)

    @property
    def selects(self) -> bool:
        """Whether targets are asked for, or left out, by what they are called or labelled."""
        return bool(self.labels or self.targets or self.excluded)

    def covers(self, id_: ResourceId) -> bool:
        """Whether this may touch what no manifest declares any more.

        Nobody knows which labels that had, and prompts and repos are never selected themselves.
        """
        is_target, name = id_.kind is Kind.TARGET, str(id_)
        if (self.shard and id_ not in self.shard) or any(
            fnmatchcase(name, pattern) for pattern in self.excluded
        ):
            return False
        if self.labels or self.targets:
            matches = any(fnmatchcase(name, pattern) for pattern in self.targets)
            return is_target and matches and not self.labels
        return True


#: The scope of a command that was not narrowed.
EVERYTHING = Scope()


def narrow(desired: Desired, scope: Scope) -> Desired:
    """Return what a run is about; raises UsageError where a part of the scope matches nothing.

    Prompts, repos and templates of the chosen targets come along; of a template that is not chosen
    itself only its existence matters, so that its stages are left alone. A shard without a further
    selection also holds its part of what no target needs, so that all shards are the whole.
    """
    if not scope:
        return desired
    chosen = _chosen(desired, scope) if scope.selects else _everything(desired)
    if scope.shard:
        chosen = {id_ for id_ in chosen if id_ in scope.shard}
    needed = {*_needed(desired, chosen), *(ResourceId(Kind.REPO, id_.repo) for id_ in chosen)}
    kept = chosen | needed
    drawn_in = desired.ids() & (needed - chosen)
    return replace(
        desired,
        repos={id_: repo for id_, repo in desired.repos.items() if id_ in kept},
        prompts={id_: prompt for id_, prompt in desired.prompts.items() if id_ in kept},
        targets={
            id_: _existing_only(target) if id_ in drawn_in else target
            for id_, target in desired.targets.items()
            if id_ in kept
        },
        out_of_scope=desired.out_of_scope | (desired.ids() - kept),
        drawn_in=drawn_in,
        scope=scope,
    )


def _everything(desired: Desired) -> set[ResourceId]:
    """Return every target, and what no target needs."""
    return set(desired.targets) | (desired.ids() - set(_needed(desired, desired.targets)))


def _chosen(desired: Desired, scope: Scope) -> set[ResourceId]:
    names = {str(id_): id_ for id_ in desired.targets}
    chosen = _matching("--target", scope.targets, names) if scope.targets else set(names.values())
    chosen -= _matching("--exclude", scope.excluded, names)
    labelled = {id_ for id_ in chosen if _has(desired.targets[id_].labels, scope.labels)}
    if not labelled:
        wanted = ", ".join(f"{key}={value}" for key, value in scope.labels)
        told = f"no target has the labels {wanted}" if wanted else "every target is excluded"
        raise UsageError(told, hint="`reconciler status` lists the targets there are.")
    return labelled


def _matching(
    option: str, patterns: Iterable[str], names: Mapping[str, ResourceId]
) -> set[ResourceId]:
    found: set[ResourceId] = set()
    for pattern in patterns:
        matches = {id_ for name, id_ in names.items() if fnmatchcase(name, pattern)}
        if not matches:
            whole = [name for name in names if name.endswith(f"/{pattern}")]
            meant = suggest(whole[0], whole) if whole else suggest(pattern, names)
            raise UsageError(f'{option} "{pattern}" matches no target{meant}')
        found |= matches
    return found


def _has(labels: Mapping[str, str], wanted: Iterable[tuple[str, str]]) -> bool:
    return all(labels.get(key) == value for key, value in wanted)


def _needed(desired: Desired, chosen: Iterable[ResourceId]) -> Iterator[ResourceId]:
    seen: set[ResourceId] = set()
    waiting = list(chosen)
    while waiting:
        id_ = waiting.pop()
        target = desired.targets.get(id_)
        if target is None or id_ in seen:
            continue
        seen.add(id_)
        waiting += [target.parent] if target.parent else []
        yield id_
        yield ResourceId(Kind.REPO, id_.repo)
        for field in normalize.PROMPT_FIELDS:
            yield ResourceId(Kind.PROMPT, id_.repo, target.config.get(field) or "")


def _existing_only(target: DesiredTarget) -> DesiredTarget:
    stim, rollout = (replace(stage, wanted=False) for stage in (target.stim, target.rollout))
    return replace(target, stim=stim, rollout=rollout)
