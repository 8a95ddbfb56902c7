"""Read the live state that a plan needs, in as few requests as that takes.

Listings come before single resources; a rollout is asked for only once its stim is complete. What
cannot be read becomes ``Unreadable``, except a refused key or credits, which end the run.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from reconciler.collector import at_rest
from reconciler.core.errors import ApiError, AuthenticationError, PaymentRequiredError
from reconciler.core.limits import PARALLELISM
from reconciler.core.model.desired import Stage
from reconciler.core.model.observed import (
    COMPLETE,
    Absent,
    LiveRepo,
    LiveStage,
    LiveTarget,
    Observed,
    Unreadable,
)
from reconciler.core.planning.candidates import candidates
from reconciler.core.planning.orphans import find_orphans
from reconciler.engine.tasks import for_each

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from reconciler.core.model.desired import Desired
    from reconciler.core.model.lock import Lock
    from reconciler.core.model.manifest import ResourceId
    from reconciler.core.model.observed import SeenPrompt, SeenRepo, SeenTarget
    from reconciler.engine.ports import ReadApi

Value = TypeVar("Value")


async def observe(
    desired: Desired, lock: Lock | None, api: ReadApi, *, parallelism: int = PARALLELISM
) -> Observed:
    """Return the live state of everything declared, and of the orphaned targets of the lockfile.

    Raises AuthenticationError and PaymentRequiredError; every other failure to read is part of what
    was observed.
    """
    observer = _Observer(api)
    targets = [*_target_candidates(desired), *_orphaned_targets(desired, lock)]
    prompts = list(_prompt_candidates(desired))
    repos = {id_.repo for id_ in (*desired.ids(), *(id_ for id_, _ in targets))}
    await for_each(sorted(repos), observer.look_at_repo, limit=parallelism)
    looks: list[Callable[[], Awaitable[None]]] = [
        *(partial(observer.look_at_prompt, prompt) for prompt in prompts),
        *(partial(observer.look_at_target, target) for target in targets),
    ]
    with at_rest():
        await for_each(looks, lambda look: look(), limit=parallelism)
    return observer.seen


def _prompt_candidates(desired: Desired) -> Iterable[ResourceId]:
    for prompt in desired.prompts.values():
        yield from candidates(prompt)


def _target_candidates(desired: Desired) -> Iterable[tuple[ResourceId, bool]]:
    """Every live address that a declared target may have, and whether its rollout matters."""
    for target in desired.targets.values():
        yield from ((candidate, target.rollout.wanted) for candidate in candidates(target))


def _orphaned_targets(desired: Desired, lock: Lock | None) -> Iterable[tuple[ResourceId, bool]]:
    for id_ in find_orphans(desired, lock):
        if lock and id_ in lock.targets:
            yield replace(id_, name=lock.targets[id_].live_name), True


class _Observer:
    def __init__(self, api: ReadApi) -> None:
        self._api = api
        self._repos: dict[str, SeenRepo] = {}
        self._prompts: dict[ResourceId, SeenPrompt] = {}
        self._targets: dict[ResourceId, SeenTarget] = {}
        self._prompt_names: dict[str, frozenset[str] | Unreadable] = {}
        self._target_names: dict[str, frozenset[str] | Unreadable] = {}

    @property
    def seen(self) -> Observed:
        return Observed(
            self._repos, self._prompts, self._targets, self._prompt_names, self._target_names
        )

    async def look_at_repo(self, name: str) -> None:
        self._repos[name] = seen = await _attempt(self._api.repo, name)
        if isinstance(seen, LiveRepo):
            self._prompt_names[name] = await _attempt(self._api.prompt_names, name)
            self._target_names[name] = await _attempt(self._api.target_names, name)

    async def look_at_prompt(self, id_: ResourceId) -> None:
        seen: SeenPrompt | None = self._listed(id_, self._prompt_names)
        if seen is None:
            seen = await _attempt(self._api.prompt, id_.repo, id_.name)
        self._prompts[id_] = seen

    async def look_at_target(self, candidate: tuple[ResourceId, bool]) -> None:
        id_, with_rollout = candidate
        seen: SeenTarget | None = self._listed(id_, self._target_names)
        if seen is None:
            seen = await _attempt(self._api.target, id_.repo, id_.name)
        if isinstance(seen, LiveTarget):
            seen = replace(seen, stages=await self._stages(id_, with_rollout=with_rollout))
        self._targets[id_] = seen

    def _listed(
        self, id_: ResourceId, names: dict[str, frozenset[str] | Unreadable]
    ) -> Absent | Unreadable | None:
        """Return what the listings say already of a resource: that it is not there, or unknown."""
        repo = self._repos[id_.repo]
        if not isinstance(repo, LiveRepo):
            return repo
        listing = names[id_.repo]
        if isinstance(listing, Unreadable):
            return listing
        return None if id_.name in listing else Absent()

    async def _stages(
        self, id_: ResourceId, *, with_rollout: bool
    ) -> dict[Stage, LiveStage | Unreadable]:
        stim = await _attempt(self._api.stage, id_.repo, id_.name, Stage.STIM)
        stages = {Stage.STIM: stim}
        if with_rollout and isinstance(stim, LiveStage) and stim.status == COMPLETE:
            rollout = await _attempt(self._api.stage, id_.repo, id_.name, Stage.ROLLOUT)
            stages[Stage.ROLLOUT] = rollout
        return stages


async def _attempt(call: Callable[..., Awaitable[Value]], *args: object) -> Value | Unreadable:
    try:
        return await call(*args)
    except (AuthenticationError, PaymentRequiredError):
        raise
    except ApiError as error:
        return Unreadable(error.message)
