"""Read the live state that a plan needs, in as few requests as that takes.

Listings come before single resources; a rollout is asked for only once its stim is complete. What
cannot be read becomes ``Unreadable``, except a refused key or credits, which end the run.
"""

from __future__ import annotations

from collections import defaultdict
from functools import partial
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from reconciler.collector import at_rest
from reconciler.core.errors import ApiError, AuthenticationError, PaymentRequiredError
from reconciler.core.limits import PARALLELISM
from reconciler.core.model.desired import Stage
from reconciler.core.model.observed import (
    COMPLETE,
    LiveRepo,
    LiveStage,
    LiveTarget,
    Observed,
    Unreadable,
)
from reconciler.core.planning.candidates import Listed
from reconciler.core.planning.orphans import find_orphans
from reconciler.engine.tasks import for_each

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping

    from reconciler.core.model.desired import Desired
    from reconciler.core.model.lock import Lock
    from reconciler.core.model.manifest import ResourceId
    from reconciler.core.model.observed import SeenPrompt, SeenRepo, SeenTarget
    from reconciler.engine.ports import ReadApi

Value = TypeVar("Value")
Look: TypeAlias = "Callable[[], Awaitable[None]]"


async def observe(
    desired: Desired, lock: Lock | None, api: ReadApi, *, parallelism: int = PARALLELISM
) -> Observed:
    """Return the live state of everything declared, and of the orphaned targets of the lockfile.

    Raises AuthenticationError and PaymentRequiredError; every other failure to read is part of what
    was observed.
    """
    observer = _Observer(api)
    orphans = list(_orphaned_targets(desired, lock))
    repos = {id_.repo for id_ in (*desired.ids(), *orphans)}
    await for_each(sorted(repos), observer.look_at_repo, limit=parallelism)
    with at_rest():
        await for_each(observer.looks(desired, orphans), lambda look: look(), limit=parallelism)
    return observer.seen


def _orphaned_targets(desired: Desired, lock: Lock | None) -> Iterator[ResourceId]:
    """Yield the addresses at which orphaned targets are live, if they are."""
    for id_ in find_orphans(desired, lock):
        if lock and id_ in lock.targets:
            yield id_.called(lock.targets[id_].live_name)


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

    def looks(self, desired: Desired, orphans: Iterable[ResourceId]) -> Iterator[Look]:
        """Yield what looks at all of this of which a listing says that it is there."""
        prompts, targets = _listed(self._prompt_names), _listed(self._target_names)
        for prompt in desired.prompts.values():
            for id_ in prompts[prompt.repo].candidates(prompt):
                yield partial(self._look_at_prompt, id_)
        for target in desired.targets.values():
            for id_ in targets[target.repo].candidates(target):
                yield partial(self._look_at_target, id_, target.rollout.wanted)
        for id_ in orphans:
            if id_ in targets[id_.repo]:
                yield partial(self._look_at_target, id_, True)

    async def _look_at_prompt(self, id_: ResourceId) -> None:
        self._prompts[id_] = await _attempt(self._api.prompt, id_.repo, id_.name)

    async def _look_at_target(self, id_: ResourceId, with_rollout: bool) -> None:
        seen: SeenTarget = await _attempt(self._api.target, id_.repo, id_.name)
        if isinstance(seen, LiveTarget):
            stages = await self._stages(id_, with_rollout=with_rollout)
            seen = LiveTarget(seen.config, stages)
        self._targets[id_] = seen

    async def _stages(
        self, id_: ResourceId, *, with_rollout: bool
    ) -> dict[Stage, LiveStage | Unreadable]:
        stim = await _attempt(self._api.stage, id_.repo, id_.name, Stage.STIM)
        stages = {Stage.STIM: stim}
        if with_rollout and isinstance(stim, LiveStage) and stim.status == COMPLETE:
            rollout = await _attempt(self._api.stage, id_.repo, id_.name, Stage.ROLLOUT)
            stages[Stage.ROLLOUT] = rollout
        return stages


def _listed(listings: Mapping[str, frozenset[str] | Unreadable]) -> Mapping[str, Listed]:
    """Return what each repo lists; nothing where that could not be read."""
    nothing = Listed(frozenset())
    known = {
        repo: Listed(names) for repo, names in listings.items() if isinstance(names, frozenset)
    }
    return defaultdict(lambda: nothing, known)


async def _attempt(call: Callable[..., Awaitable[Value]], *args: object) -> Value | Unreadable:
    try:
        return await call(*args)
    except (AuthenticationError, PaymentRequiredError):
        raise
    except ApiError as error:
        return Unreadable(error.message)
