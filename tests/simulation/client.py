"""The API as one run sees it: it notices at once when it is treated badly.

Every rule of conduct that is broken is noted in the world's ``broken``, in words; which rules there
are, the ``check`` methods say. Before and after every call the run may crash.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING, Any

from reconciler.core.errors import (
    ApiError,
    AuthenticationError,
    PaymentRequiredError,
    UnreachableError,
)
from reconciler.core.model.desired import OnChange, OnShortfall, Stage
from reconciler.core.model.manifest import Kind, ResourceId
from reconciler.core.model.observed import Absent, LivePrompt, LiveRepo, LiveStage, LiveTarget
from reconciler.core.planning.candidates import candidates

from .process import CrashError
from .world import ATTEMPT, LISTING, Listing, hang_up

if TYPE_CHECKING:
    from collections.abc import Collection, Coroutine, Mapping, Sequence
    from typing import TypeVar

    from reconciler.core.model.desired import Desired, DesiredTarget
    from reconciler.core.model.lock import Lock, LockedTarget
    from reconciler.engine.ports import WriteApi

    from .process import Process
    from .world import World

    Value = TypeVar("Value")

#: How old, in seconds, may be what was seen of a stage when a job is asked for because of it.
HEARSAY = 1.0
#: How long, in seconds, requests that were under way may still arrive after a refusal.
UNDER_WAY = 0.1
#: How far sums of seconds may be off.
ROUNDING = 1e-6


@dataclass(frozen=True, slots=True)
class Errand:
    """What a run was told to do, and the lockfile it found."""

    desired: Desired
    lock: Lock | None
    prune: bool = False
    allow_destroy: bool = False
    max_deletions: int = 10
    max_trajectories: int | None = None
    #: Whether this is ``destroy``, which deletes what is declared and does nothing else.
    destroying: bool = False

    def owner(self, repo: str, live_name: str) -> DesiredTarget | None:
        """Return the declared target that a live name belongs to."""
        live = ResourceId(Kind.TARGET, repo, live_name)
        return next((t for t in self.desired.targets.values() if live in candidates(t)), None)

    def orphan(self, repo: str, live_name: str) -> tuple[ResourceId, LockedTarget] | None:
        """Return the entry of the lockfile that a live name belongs to, if nothing declares it."""
        declared = self.desired.ids() | self.desired.out_of_scope
        entries = self.lock.targets.items() if self.lock else ()
        found = ((i, e) for i, e in entries if (i.repo, e.live_name) == (repo, live_name))
        return next(((i, entry) for i, entry in found if i not in declared), None)

    @property
    def budget(self) -> float:
        limits = (self.desired.max_new_trajectories, self.max_trajectories)
        return min((limit for limit in limits if limit is not None), default=inf)


@dataclass(slots=True)
class Ledger:
    """What one lockfile answers for: the failed jobs that were run again because of it."""

    name: str
    #: Which targets their manifests protected when a run last went through with them.
    protected: dict[ResourceId, bool] = field(default_factory=dict)
    lock: Lock | None = None
    #: The process that speaks to the API in the name of this lockfile, until it ends.
    worker: int | None = None
    _retries: Counter[tuple[object, ...]] = field(default_factory=Counter)
    _forgotten: Counter[tuple[str, str]] = field(default_factory=Counter)
    _losses: int = 0

    def forget(self, repo: str = "", live_name: str = "") -> None:
        """Count afresh how often failed jobs are run again: the record of it is gone."""
        if repo:
            self._forgotten[repo, live_name] += 1
        else:
            self._losses += 1

    def on_record(self, owner: DesiredTarget | None, stage: Stage) -> int:
        """Return the attempts of a stage that are on disk."""
        entry = self.lock.targets.get(owner.id) if self.lock and owner else None
        seen = entry.stages.get(stage) if entry else None
        return seen.attempts if seen else 0

    def key(self, repo: str, live_name: str, stage: Stage, removals: int) -> tuple[object, ...]:
        """Return what the retries of a job are counted under."""
        again = (self._losses, self._forgotten[repo, live_name])
        return (self.name, repo, live_name, str(stage), removals, *again)

    def count(self, key: tuple[object, ...]) -> int:
        self._retries[key] += 1
        return self._retries[key]

    def uncount(self, key: tuple[object, ...]) -> None:
        self._retries[key] -= 1


@dataclass(slots=True)
class _Seen:
    """What a run was told so far."""

    repos: dict[str, LiveRepo | Absent] = field(default_factory=dict)
    listed: dict[tuple[str, str], frozenset[str]] = field(default_factory=dict)
    prompts: dict[tuple[str, str], LivePrompt | Absent] = field(default_factory=dict)
    targets: dict[tuple[str, str], LiveTarget | Absent] = field(default_factory=dict)
    stages: dict[tuple[str, str, Stage], LiveStage] = field(default_factory=dict)
    looks: dict[tuple[str, str, Stage], tuple[float, LiveStage]] = field(default_factory=dict)
    deleted: set[tuple[str, str]] = field(default_factory=set)
    trajectories: dict[tuple[str, str], int] = field(default_factory=dict)
    pruned: int = 0
    broke: bool = False
    refused_at: float = inf


class Client:
    """See the module; implements ``reconciler.engine.ports.WriteApi`` on top of another one."""

    def __init__(
        self, world: World, inner: WriteApi, process: Process, errand: Errand, ledger: Ledger
    ) -> None:
        self.http = world.http
        self._world = world
        self._inner = inner
        self._process = process
        self._errand = errand
        self._ledger = ledger
        self._seen = _Seen()
        #: When the time is up that the run was given.
        self.deadline = inf

    def speak_through(self, inner: WriteApi) -> None:
        """Use another way to the same world from now on."""
        self._inner = inner

    # What the run is told, and remembered to have been told.

    async def repo(self, name: str) -> LiveRepo | Absent:
        there = self._world.exists(name)
        self._seen.repos[name] = seen = await self._ask("repo", self._inner.repo(name))
        self._check_absence(f"repo {name}", there and isinstance(seen, Absent))
        return seen

    async def prompt_names(self, repo: str) -> frozenset[str]:
        there = self._world.prompts(repo)
        seen = await self._ask("prompt_names", self._inner.prompt_names(repo))
        self._check_absence(f"a prompt of {repo}", not there <= seen)
        # What one listing lacked was absent, though a later one may hold it.
        self._seen.listed["prompt", repo] = seen & self._seen.listed.get(("prompt", repo), seen)
        LISTING.set(Listing(repo, seen, self._world.clock.now()))
        return seen

    async def target_names(self, repo: str) -> frozenset[str]:
        seen = await self._ask("target_names", self._inner.target_names(repo))
        self._seen.listed["target", repo] = seen
        return seen

    async def prompt(self, repo: str, name: str) -> LivePrompt | Absent:
        there = name in self._world.prompts(repo)
        seen = await self._ask("prompt", self._inner.prompt(repo, name))
        self._check_absence(f"prompt {name}", there and isinstance(seen, Absent))
        self._seen.prompts[repo, name] = seen
        return seen

    async def target(self, repo: str, name: str) -> LiveTarget | Absent:
        there = self._world.exists(repo, name)
        seen = await self._ask("target", self._inner.target(repo, name))
        gone = there and there != self._world.exists(repo, name)
        self._check_absence(f"target {name}", bool(there) and not gone and isinstance(seen, Absent))
        self._seen.targets[repo, name] = seen
        return seen

    async def stage(self, repo: str, target: str, stage: Stage) -> LiveStage:
        seen = await self._ask("stage", self._inner.stage(repo, target, stage))
        return self._told((repo, target, stage), seen)

    def _told(self, key: tuple[str, str, Stage], seen: LiveStage) -> LiveStage:
        self._seen.stages[key] = seen
        self._seen.looks[key] = (self._world.clock.now(), seen)
        return seen

    # What the run does.

    async def create_repo(self, name: str, base_model: str | None) -> None:
        if not isinstance(self._seen.repos.get(name), Absent):
            self._world.breaks(f"created repo {name}, which was not seen to be absent")
        await self._ask("create_repo", self._inner.create_repo(name, base_model))

    async def create_prompt(self, repo: str, name: str, content: Mapping[str, Any]) -> None:
        if not self._was_absent("prompt", repo, name, self._seen.prompts):
            self._world.breaks(f"created prompt {name}, which was not seen to be absent")
        await self._ask("create_prompt", self._inner.create_prompt(repo, name, content))

    async def create_prompts(
        self, repo: str, prompts: Mapping[str, Sequence[Mapping[str, Any]]]
    ) -> Mapping[str, str | None]:
        self._check_batch(repo, prompts.keys())
        return await self._ask("create_prompts", self._inner.create_prompts(repo, prompts))

    async def create_target(self, repo: str, item: Mapping[str, Any]) -> None:
        self._check_creation(repo, item)
        await self._ask("create_target", self._inner.create_target(repo, item))

    async def create_targets(
        self, repo: str, items: Sequence[Mapping[str, Any]]
    ) -> Mapping[str, str | None]:
        for item in items:
            self._check_creation(repo, item)
        return await self._ask("create_targets", self._inner.create_targets(repo, items))

    async def delete_target(self, repo: str, name: str) -> None:
        self._check_deletion(repo, name)
        await self._ask("delete_target", self._inner.delete_target(repo, name))

    async def run(self, repo: str, target: str, stage: Stage) -> LiveStage:
        key = (repo, target, stage)
        retry = self._check_start(*key)
        try:
            return self._told(key, await self._ask("run", self._inner.run(*key)))
        except UnreachableError:
            raise
        except ApiError as error:
            self._seen.broke |= isinstance(error, PaymentRequiredError)
            if retry:
                self._ledger.uncount(retry)  # refused outright, so it was no attempt
            raise

    async def _ask(self, name: str, call: Coroutine[Any, Any, Value]) -> Value:
        """Make a call, unless the run crashes before it, or before it hears the answer."""
        if self._ledger.worker not in {None, id(self._process)}:
            self._world.breaks("two runs work in one directory at once")
        self._ledger.worker = id(self._process)
        if self._world.clock.now() > self._seen.refused_at + UNDER_WAY:
            self._world.breaks(f"went on with {name} after the key was refused")
        if self._world.clock.now() > self.deadline + ROUNDING:
            self._world.breaks(f"went on with {name} after the time was up")
        if self._errand.destroying and name.startswith(("create", "run")):
            self._world.breaks(f"did {name} to destroy something")
        try:
            self._process.reach(f"{name}: not yet sent")
        except CrashError:
            call.close()
            raise
        try:
            answer = await call
        except ApiError as error:
            hang_up()
            if isinstance(error, AuthenticationError):
                self._seen.refused_at = min(self._seen.refused_at, self._world.clock.now())
            self._process.reach(f"{name}: refused")
            raise
        self._process.reach(f"{name}: answered")
        return answer

    # The rules.

    def _check_absence(self, what: str, wrong: object) -> None:
        if wrong:
            self._world.breaks(f"took {what} for absent, which was there all the time")

    def _was_absent(
        self, kind: str, repo: str, name: str, seen: Mapping[tuple[str, str], object]
    ) -> bool:
        if isinstance(self._seen.repos.get(repo), Absent):
            return True
        listed = self._seen.listed.get((kind, repo))
        unlisted = listed is not None and name not in listed
        return unlisted or isinstance(seen.get((repo, name)), Absent)

    def _check_batch(self, repo: str, names: Collection[str]) -> None:
        """Check that prompts which a batch would replace were listed as absent just now."""
        listing, now = LISTING.get(), self._world.clock.now()
        what = f"sent a batch of prompts to {repo}"
        if listing is None or listing.repo != repo:
            self._world.breaks(f"{what} without having listed what is there")
            return
        if listing.used:
            self._world.breaks(f"{what} a second time without looking again")
        if now - listing.at > HEARSAY:
            self._world.breaks(f"{what}, going by a listing of {now - listing.at:.1f} s ago")
        if not listing.names.isdisjoint(names):
            self._world.breaks(f"{what} with some that it knows to be there")
        listing.used = True

    def _check_creation(self, repo: str, item: Mapping[str, Any]) -> None:
        name = str(item["target_name"])
        replaced = (repo, name) in self._seen.deleted
        if not (replaced or self._was_absent("target", repo, name, self._seen.targets)):
            self._world.breaks(f"created target {name}, which was not seen to be absent")

    def _check_start(self, repo: str, name: str, stage: Stage) -> tuple[object, ...] | None:
        """Check that a job may be asked for; return what it counts under if it failed before."""
        now = self._world.clock.now()
        at, seen = self._seen.looks.pop((repo, name, stage), (-inf, None))
        what = f"asked for the {stage} of {name}"
        if self._seen.broke:
            self._world.breaks(f"{what} after the credits ran out")
        if seen is None:
            self._world.breaks(f"{what} without having looked since it last did")
        elif seen.status not in {"not_started", "failed"}:
            self._world.breaks(f"{what}, which it knows to be {seen.status}")
        elif now - at > HEARSAY:
            self._world.breaks(f"{what}, going by what it saw {now - at:.1f} s ago")
        if seen and seen.status == "failed":
            return self._check_retry(repo, name, stage)
        ATTEMPT.set((repo, name, str(stage), self._world.removals[repo, name], 1))
        if stage is Stage.ROLLOUT:
            self._check_budget(repo, name)
        return None

    def _check_retry(self, repo: str, name: str, stage: Stage) -> tuple[object, ...]:
        """Check that a failed job may be run again, and that the attempt is on disk."""
        key = self._ledger.key(repo, name, stage, self._world.removals[repo, name])
        owner = self._errand.owner(repo, name)
        attempt = self._ledger.on_record(owner, stage)
        times = self._ledger.count(key)
        ATTEMPT.set((*key, attempt))
        if owner is None:
            self._world.breaks(f"ran {name}, which nothing declares")
        elif times > owner.policy.retries:
            why = "more often than the policy allows"
            self._world.breaks(f"ran the failed {stage} of {name} {why}")
        if attempt <= 1:
            self._world.breaks(f"ran the failed {stage} of {name} before that was on disk")
        return key

    def _check_budget(self, repo: str, name: str) -> None:
        expected = self._world.yields(repo, name)
        if expected is not None:
            self._seen.trajectories[repo, name] = expected
            if sum(self._seen.trajectories.values()) > self._errand.budget:
                self._world.breaks(f"began the rollout of {name} beyond the budget")

    def _check_deletion(self, repo: str, name: str) -> None:
        self._seen.deleted.add((repo, name))
        if not self._errand.allow_destroy:
            self._world.breaks(f"deleted {name} without --allow-destroy")
        if not isinstance(self._seen.targets.get((repo, name)), LiveTarget):
            self._world.breaks(f"deleted {name}, which it could not read")
        owner, orphan = self._errand.owner(repo, name), self._errand.orphan(repo, name)
        if owner and self._errand.destroying:
            if owner.policy.prevent_destroy:
                self._world.breaks(f"destroyed {name}, which is protected")
        elif owner:
            self._check_replacement(owner, name)
        elif orphan and not self._errand.destroying:
            self._check_pruning(*orphan)
        else:
            self._world.breaks(f"deleted {name}, which is none of its business")

    def _check_pruning(self, id_: ResourceId, entry: LockedTarget) -> None:
        self._seen.pruned += 1
        if not self._errand.prune:
            self._world.breaks(f"deleted the orphan {id_} without --prune")
        if self._seen.pruned > self._errand.max_deletions:
            self._world.breaks(f"deleted the orphan {id_} beyond --max-deletions")
        if entry.prevent_destroy or self._ledger.protected.get(id_, False):
            self._world.breaks(f"deleted the orphan {id_}, which was protected")

    def _check_replacement(self, target: DesiredTarget, live_name: str) -> None:
        policy = target.policy
        if policy.prevent_destroy:
            self._world.breaks(f"deleted {live_name}, which is protected")
        changed = policy.on_change is OnChange.REPLACE and self._differs(target, live_name)
        short = policy.on_shortfall is OnShortfall.REPLACE and self._fell_short(target, live_name)
        if not (changed or short):
            self._world.breaks(f"deleted {live_name}, which no policy asks for")

    def _differs(self, target: DesiredTarget, live_name: str) -> bool:
        live = self._seen.targets.get((target.repo, live_name))
        if not isinstance(live, LiveTarget):
            return False
        fields = target.config.items()
        return self._prompts_differ(target) or any(live.config.get(k) != v for k, v in fields)

    def _prompts_differ(self, target: DesiredTarget) -> bool:
        declared = self._errand.desired.prompts.values()
        named = {target.config.get("teacher_prompt"), target.config.get("student_prompt")}
        seen = ((p, self._seen.prompts.get((p.repo, p.name))) for p in declared if p.name in named)
        return any(
            not isinstance(s, LivePrompt) or _plain(s.content) != _plain(p.content) for p, s in seen
        )

    def _fell_short(self, target: DesiredTarget, live_name: str) -> bool:
        stages = ((target.stage(s), (target.repo, live_name, s)) for s in Stage)
        seen = [(want, self._seen.stages.get(key)) for want, key in stages if want.wanted]
        complete = ((want, s.lines) for want, s in seen if s and s.status == "complete")
        return any(lines is not None and lines < want.min_lines for want, lines in complete)


def _plain(content: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in content.items() if value is not None}
