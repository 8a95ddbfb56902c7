"""What is live, as far as it is to be imported: some repos or all, some targets or everything.

Asks for no more than that, and changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Protocol

from reconciler.core.equality import normalize
from reconciler.core.errors import (
    ApiError,
    AuthenticationError,
    PaymentRequiredError,
    ReconcilerError,
    UsageError,
)
from reconciler.core.limits import PARALLELISM
from reconciler.core.model.desired import Stage
from reconciler.core.model.manifest import Kind, ResourceId
from reconciler.core.model.observed import (
    COMPLETE,
    Absent,
    LivePrompt,
    LiveRepo,
    LiveTarget,
    Observed,
)
from reconciler.core.names import is_name, suggest
from reconciler.engine.tasks import for_each
from reconciler.workflow.importing.drafts import UNNAMEABLE, left_out

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from reconciler.engine.ports import ReadApi

    class Listing(ReadApi, Protocol):
        """The calls that change nothing, and the listing of repos."""

        async def repo_names(self) -> frozenset[str]:
            """Return the names of all repos."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to import: the ``repos`` of these names, or all that the API lists.

    Of these the ``targets`` that match a pattern like ``repo/*`` and their prompts, or everything.
    """

    repos: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()


@dataclass(slots=True)
class Seen:
    """What was seen, and a sentence for each listed repo that was not.

    ``unread`` says whether one of those could not be read.
    """

    observed: Observed
    notes: list[str] = field(default_factory=list)
    unread: bool = False


async def observe(wanted: Wanted, api: Listing) -> Seen:
    """Return everything that is wanted and live.

    A repo that cannot be read is left out if the API listed it. Raises ApiError if it was asked for
    by name, ReconcilerError, naming those there are, if there is none of that name, and UsageError
    for a pattern that matches no target.
    """
    look = _Look(api, wanted.targets)
    if wanted.repos:
        for name in dict.fromkeys(wanted.repos):
            if not await look.at(name):
                raise await _missing(name, api)
    else:
        listed = await api.repo_names()
        await _look_at_all(look, listed)
        look.found.notes += [] if listed else ["no repo is live"]
    unmatched = [it for it in wanted.targets if not any(_matches(name, [it]) for name in look.seen)]
    if unmatched and not look.found.unread:
        meant = suggest(unmatched[0], look.seen)
        raise UsageError(f'--target "{unmatched[0]}" matches no live target{meant}')
    return look.found


async def _look_at_all(look: _Look, listed: Iterable[str]) -> None:
    for name in sorted(listed):
        if not look.may_concern(name):
            continue
        why = "" if is_name(name) else UNNAMEABLE
        try:
            if not why and not await look.at(name):
                why = "it was listed, but is not there"
        except (AuthenticationError, PaymentRequiredError):
            raise
        except ApiError as error:
            why, look.found.unread = error.message, True
        if why:
            look.found.notes.append(left_out(ResourceId(Kind.REPO, name), why))


async def _missing(name: str, api: Listing) -> ReconcilerError:
    there = sorted(await api.repo_names())
    hint = f"There are: {', '.join(there)}." if there else "There is none at all."
    return ReconcilerError(f'no repo "{name}" is live{suggest(name, there)}', hint=hint)


class _Look:
    """Looks at one repo after the other; what cannot be read whole is not taken in at all."""

    def __init__(self, api: Listing, patterns: Sequence[str]) -> None:
        self._api = api
        self._patterns = patterns
        self._repos: dict[str, LiveRepo] = {}
        self._prompts: dict[ResourceId, LivePrompt | Absent] = {}
        self._targets: dict[ResourceId, LiveTarget | Absent] = {}
        self._prompt_names: dict[str, frozenset[str]] = {}
        self._target_names: dict[str, frozenset[str]] = {}
        self.found = Seen(
            Observed(
                self._repos, self._prompts, self._targets, self._prompt_names, self._target_names
            )
        )
        #: The addresses of all targets of the repos that were looked at.
        self.seen: set[str] = set()

    def may_concern(self, repo: str) -> bool:
        """Whether a pattern could match a target of a repo."""
        parts = [it.partition("/")[0] if "/" in it else "*" for it in self._patterns]
        return not parts or _matches(repo, parts)

    async def at(self, name: str) -> bool:
        """Take in what is wanted of a repo; returns whether it is there at all."""
        repo = await self._api.repo(name)
        if isinstance(repo, Absent):
            return False
        listed = await self._api.target_names(name)
        self.seen |= {f"{name}/{target}" for target in listed}
        wanted = {it for it in listed if self._is_wanted(f"{name}/{it}")}
        if self._patterns and not wanted:
            return True
        prompt_names = await self._api.prompt_names(name)
        targets = await self._all_targets(name, wanted)
        prompts = await self._all_prompts(
            name, prompt_names & _named_by(targets.values()) if self._patterns else prompt_names
        )
        self._repos[name] = repo
        self._prompt_names[name], self._target_names[name] = prompt_names, listed
        self._prompts |= prompts
        self._targets |= targets
        return True

    def _is_wanted(self, target: str) -> bool:
        return not self._patterns or _matches(target, self._patterns)

    async def _all_prompts(
        self, repo: str, names: Collection[str]
    ) -> dict[ResourceId, LivePrompt | Absent]:
        seen: dict[ResourceId, LivePrompt | Absent] = {}

        async def look(name: str) -> None:
            seen[ResourceId(Kind.PROMPT, repo, name)] = await self._api.prompt(repo, name)

        await for_each(sorted(names), look, limit=PARALLELISM)
        return seen

    async def _all_targets(
        self, repo: str, names: Collection[str]
    ) -> dict[ResourceId, LiveTarget | Absent]:
        seen: dict[ResourceId, LiveTarget | Absent] = {}

        async def look(name: str) -> None:
            seen[ResourceId(Kind.TARGET, repo, name)] = await self._target(repo, name)

        await for_each(sorted(names), look, limit=PARALLELISM)
        return seen

    async def _target(self, repo: str, name: str) -> LiveTarget | Absent:
        seen = await self._api.target(repo, name)
        if isinstance(seen, Absent):
            return seen
        stages = {Stage.STIM: await self._api.stage(repo, name, Stage.STIM)}
        if stages[Stage.STIM].status == COMPLETE:
            stages[Stage.ROLLOUT] = await self._api.stage(repo, name, Stage.ROLLOUT)
        return LiveTarget(seen.config, stages)


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _named_by(targets: Iterable[LiveTarget | Absent]) -> set[str]:
    """Return the names of the prompts that some targets name."""
    configs = (normalize.target_config(it.config) for it in targets if isinstance(it, LiveTarget))
    return {str(config.get(name)) for config in configs for name in normalize.PROMPT_FIELDS}
