"""An API that misbehaves at random, and that notices at once when it is itself treated badly.

Misbehaviour is a ``Weather``, rolled anew for every run. Every rule of conduct that is broken is
noted in ``broken``, in words; which rules there are, the ``check`` methods say.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field, replace
from math import inf
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from fake_api import FakeApi, Fault, Job

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

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from random import Random

    from fake_api import Call
    from virtual_time import VirtualClock

    from reconciler.core.model.desired import Desired, DesiredTarget
    from reconciler.core.model.lock import Lock, LockedTarget

#: How old, in seconds, may be what was seen of a stage when a job is asked for because of it.
HEARSAY = 1.0
#: How long, in seconds, requests that were under way may still arrive after a refusal.
UNDER_WAY = 0.1
WRITES = ("create", "delete", "run")


@dataclass(frozen=True, slots=True)
class Weather:
    """The share of calls that go wrong in each way, and how jobs fare."""

    unreadable: float = 0.0
    down: float = 0.0
    lost: float = 0.0
    broke: float = 0.0
    refused: float = 0.0
    null_lines: float = 0.0
    bad_jobs: float = 0.0
    restarts_failed: bool = True


CALM = Weather()
STATUSES = ("running", "pending", "archived")


def storm(draw: Random) -> Weather:
    """Return bad weather, in which most things still go right."""

    def share(*choices: float) -> float:
        return draw.choice((0.0, 0.0, 0.0, *choices))

    return Weather(
        unreadable=share(0.02, 0.1, 0.5),
        down=share(0.1, 1.0),
        lost=share(0.1, 0.5),
        broke=share(0.2),
        refused=draw.choice((*[0.0] * 9, 0.05)),
        null_lines=share(0.3),
        bad_jobs=share(0.3, 0.7),
        restarts_failed=draw.random() < 0.8,
    )


@dataclass(frozen=True, slots=True)
class Errand:
    """What a run was told to do, and the lockfile it found."""

    desired: Desired
    lock: Lock | None
    prune: bool = False
    allow_destroy: bool = False
    max_deletions: int = 10
    max_trajectories: int | None = None

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


class WatchedApi(FakeApi):
    """See the module."""

    def __init__(self, clock: VirtualClock, draw: Random) -> None:
        super().__init__(clock)
        self.draw = draw
        self.weather = CALM
        self.broken: list[str] = []
        self.http = SimpleNamespace(requests=0)
        self.errand: Errand | None = None
        #: Targets of which most jobs fail, by the first letter of their names.
        self.cursed = "".join(draw.sample("abcd", draw.choice((0, 1, 2))))
        #: What may befall a run in the moment at which it asks for a job.
        self.accident: Callable[[], None] | None = None
        #: Which targets their manifests protected when a run last went through with them.
        self.protected: dict[ResourceId, bool] = {}
        self._seen = _Seen()
        self._retries: Counter[tuple[str, str, Stage]] = Counter()

    def expect(self, errand: Errand, weather: Weather) -> None:
        """Get ready for a run."""
        self.errand, self.weather, self._seen = errand, weather, _Seen()
        self.restarts_failed = weather.restarts_failed

    def forget_retries(self, repo: str = "", live_name: str = "") -> None:
        """Count afresh how often failed jobs are run again: the record of it is gone."""
        kept = (
            {}
            if not repo
            else {k: n for k, n in self._retries.items() if k[:2] != (repo, live_name)}
        )
        self._retries = Counter(kept)

    def calm_down(self) -> None:
        """Let every job come to a good end from now on, and soon."""
        self.cursed = ""
        for repo in self.repos.values():
            for target in repo.targets.values():
                for run in target.runs.values():
                    if run.ends > self.clock.now():
                        run.job = Job(seconds=self.clock.now() - run.started + 5)

    # What others do.

    def meddle(self) -> None:
        """Do something that nobody asked for."""
        for name, repo in self.repos.items():
            often = (self._take_away, self._start_something, self._start_something)
            act = self.draw.choice((self._overwrite, *often, *often))
            act(name, sorted(repo.prompts), sorted(repo.targets))

    def _overwrite(self, repo: str, prompts: Sequence[str], targets: Sequence[str]) -> None:
        text = self.draw.choice(("Be exact.", "Be brief.", "Be gone."))
        if prompts:
            content = {"messages": [{"role": "system", "content": text}]}
            self.repos[repo].prompts[self.draw.choice(prompts)] = content

    def _take_away(self, repo: str, prompts: Sequence[str], targets: Sequence[str]) -> None:
        if targets:
            self._remove(repo, self.draw.choice(targets))

    def _start_something(self, repo: str, prompts: Sequence[str], targets: Sequence[str]) -> None:
        for name in targets:
            target = self.repos[repo].targets[name]
            stim = self._status(target, Stage.STIM).status
            stage = Stage.ROLLOUT if stim == "complete" else Stage.STIM
            if self._status(target, stage).status in {"not_started", "failed"}:
                self._start(repo, name, stage)
                return

    def _remove(self, repo: str, name: str) -> None:
        self.repos[repo].targets.pop(name, None)
        self.forget_retries(repo, name)

    # What the run is told, and remembered to have been told.

    async def repo(self, name: str) -> LiveRepo | Absent:
        self._seen.repos[name] = seen = await super().repo(name)
        return seen

    async def prompt_names(self, repo: str) -> frozenset[str]:
        self._seen.listed["prompt", repo] = seen = await super().prompt_names(repo)
        return seen

    async def target_names(self, repo: str) -> frozenset[str]:
        self._seen.listed["target", repo] = seen = await super().target_names(repo)
        return seen

    async def prompt(self, repo: str, name: str) -> LivePrompt | Absent:
        self._seen.prompts[repo, name] = seen = await super().prompt(repo, name)
        return seen

    async def target(self, repo: str, name: str) -> LiveTarget | Absent:
        self._seen.targets[repo, name] = seen = await super().target(repo, name)
        return seen

    async def stage(self, repo: str, target: str, stage: Stage) -> LiveStage:
        return self._told((repo, target, stage), await super().stage(repo, target, stage))

    def _told(self, key: tuple[str, str, Stage], seen: LiveStage) -> LiveStage:
        if self._happens(self.weather.null_lines):
            seen = replace(seen, lines=None)
        self._seen.stages[key] = seen
        self._seen.looks[key] = (self.clock.now(), seen)
        return seen

    # What the run does.

    async def create_repo(self, name: str, base_model: str | None) -> None:
        if not isinstance(self._seen.repos.get(name), Absent):
            self._breaks(f"created repo {name}, which was not seen to be absent")
        await super().create_repo(name, base_model)

    async def create_prompt(self, repo: str, name: str, content: Mapping[str, Any]) -> None:
        if not self._was_absent("prompt", repo, name, self._seen.prompts):
            self._breaks(f"created prompt {name}, which was not seen to be absent")
        await super().create_prompt(repo, name, content)

    async def create_target(self, repo: str, item: Mapping[str, Any]) -> None:
        self._check_creation(repo, item)
        await super().create_target(repo, item)

    async def create_targets(
        self, repo: str, items: Sequence[Mapping[str, Any]]
    ) -> Mapping[str, str]:
        for item in items:
            self._check_creation(repo, item)
        return await super().create_targets(repo, items)

    async def delete_target(self, repo: str, name: str) -> None:
        self._check_deletion(repo, name)
        await super().delete_target(repo, name)
        self.forget_retries(repo, name)

    async def run(self, repo: str, target: str, stage: Stage) -> LiveStage:
        key = (repo, target, stage)
        again = self._check_start(*key)
        if self.accident and self._happens(1.0 if again else 0.2):
            self.accident()
        try:
            return self._told(key, await super().run(repo, target, stage))
        except asyncio.CancelledError:
            # The request was on its way: nobody knows whether it arrived.
            self._perhaps_started(*key)
            raise
        except UnreachableError:
            raise
        except ApiError as error:
            self._seen.broke |= isinstance(error, PaymentRequiredError)
            self._retries[key] -= again  # refused outright, so it was no attempt
            raise

    def _perhaps_started(self, repo: str, target: str, stage: Stage) -> None:
        if self._happens(0.5) and target in self.repos[repo].targets:
            self._start(repo, target, stage)

    # The rules.

    def _breaks(self, rule: str) -> None:
        self.broken.append(f"{self.clock.now():.2f}: {rule}")

    def _was_absent(
        self, kind: str, repo: str, name: str, seen: Mapping[tuple[str, str], object]
    ) -> bool:
        if isinstance(self._seen.repos.get(repo), Absent):
            return True
        listed = self._seen.listed.get((kind, repo))
        unlisted = listed is not None and name not in listed
        return unlisted or isinstance(seen.get((repo, name)), Absent)

    def _check_creation(self, repo: str, item: Mapping[str, Any]) -> None:
        name = str(item["target_name"])
        replaced = (repo, name) in self._seen.deleted
        if not (replaced or self._was_absent("target", repo, name, self._seen.targets)):
            self._breaks(f"created target {name}, which was not seen to be absent")

    def _check_start(self, repo: str, name: str, stage: Stage) -> bool:
        """Check that a job may be asked for; return whether that runs a failed one again."""
        at, seen = self._seen.looks.pop((repo, name, stage), (-inf, None))
        what = f"asked for the {stage} of {name}"
        if self._seen.broke:
            self._breaks(f"{what} after the credits ran out")
        if seen is None:
            self._breaks(f"{what} without having looked since it last did")
        elif seen.status not in {"not_started", "failed"}:
            self._breaks(f"{what}, which it knows to be {seen.status}")
        elif self.clock.now() - at > HEARSAY:
            self._breaks(f"{what}, going by what it saw {self.clock.now() - at:.1f} s ago")
        if seen and seen.status == "failed":
            self._check_retry(repo, name, stage)
            return True
        if stage is Stage.ROLLOUT:
            self._check_budget(repo, name)
        return False

    def _check_retry(self, repo: str, name: str, stage: Stage) -> None:
        self._retries[repo, name, stage] += 1
        owner = self.errand.owner(repo, name) if self.errand else None
        if owner is None:
            self._breaks(f"ran {name}, which nothing declares")
        elif self._retries[repo, name, stage] > owner.policy.retries:
            self._breaks(f"ran the failed {stage} of {name} more often than the policy allows")

    def _check_budget(self, repo: str, name: str) -> None:
        found = self.repos[repo].targets.get(name) if repo in self.repos else None
        if found and self.errand:
            self._seen.trajectories[repo, name] = self._yield(found, Stage.ROLLOUT)
            if sum(self._seen.trajectories.values()) > self.errand.budget:
                self._breaks(f"began the rollout of {name} beyond the budget")

    def _check_deletion(self, repo: str, name: str) -> None:
        errand = self.errand
        assert errand is not None
        self._seen.deleted.add((repo, name))
        if not errand.allow_destroy:
            self._breaks(f"deleted {name} without --allow-destroy")
        if not isinstance(self._seen.targets.get((repo, name)), LiveTarget):
            self._breaks(f"deleted {name}, which it could not read")
        owner, orphan = errand.owner(repo, name), errand.orphan(repo, name)
        if owner:
            self._check_replacement(owner, name)
        elif orphan:
            self._check_pruning(*orphan, errand)
        else:
            self._breaks(f"deleted {name}, which is none of its business")

    def _check_pruning(self, id_: ResourceId, entry: LockedTarget, errand: Errand) -> None:
        self._seen.pruned += 1
        if not errand.prune:
            self._breaks(f"deleted the orphan {id_} without --prune")
        if self._seen.pruned > errand.max_deletions:
            self._breaks(f"deleted the orphan {id_} beyond --max-deletions")
        if entry.prevent_destroy or self.protected.get(id_, False):
            self._breaks(f"deleted the orphan {id_}, which was protected")

    def _check_replacement(self, target: DesiredTarget, live_name: str) -> None:
        policy = target.policy
        if policy.prevent_destroy:
            self._breaks(f"deleted {live_name}, which is protected")
        changed = policy.on_change is OnChange.REPLACE and self._differs(target, live_name)
        short = policy.on_shortfall is OnShortfall.REPLACE and self._fell_short(target, live_name)
        if not (changed or short):
            self._breaks(f"deleted {live_name}, which no policy asks for")

    def _differs(self, target: DesiredTarget, live_name: str) -> bool:
        live = self._seen.targets.get((target.repo, live_name))
        if not isinstance(live, LiveTarget):
            return False
        fields = target.config.items()
        return self._prompts_differ(target) or any(live.config.get(k) != v for k, v in fields)

    def _prompts_differ(self, target: DesiredTarget) -> bool:
        assert self.errand is not None
        declared = self.errand.desired.prompts.values()
        named = {target.config.get("teacher_prompt"), target.config.get("student_prompt")}
        seen = ((p, self._seen.prompts.get((p.repo, p.name))) for p in declared if p.name in named)
        return any(not isinstance(s, LivePrompt) or s.content != p.content for p, s in seen)

    def _fell_short(self, target: DesiredTarget, live_name: str) -> bool:
        stages = ((target.stage(s), (target.repo, live_name, s)) for s in Stage)
        seen = [(want, self._seen.stages.get(key)) for want, key in stages if want.wanted]
        complete = ((want, s.lines) for want, s in seen if s and s.status == "complete")
        return any(lines is not None and lines < want.min_lines for want, lines in complete)

    # How it misbehaves.

    def _happens(self, share: float) -> bool:
        return share > 0 and self.draw.random() < share

    async def _call(self, name: str, *of: str) -> Any:
        self.http.requests += 1
        if self.clock.now() > self._seen.refused_at + UNDER_WAY:
            self._breaks(f"went on with {name} after the key was refused")
        return await super()._call(name, *of)

    def _raise_faults(self, call: Call) -> list[Fault]:
        lost, weather = super()._raise_faults(call), self.weather
        if self._happens(weather.refused / 10):
            self._seen.refused_at = min(self._seen.refused_at, self.clock.now())
            raise AuthenticationError("401: who are you?")
        if not call.name.startswith(WRITES):
            if self._happens(weather.unreadable):
                raise UnreachableError("503: try again later")
            return lost
        if self._happens(weather.down):
            raise UnreachableError("502: bad gateway")
        if call.name == "run" and self._happens(weather.broke):
            raise PaymentRequiredError("402: no credits left")
        if self._happens(weather.lost):
            lost.append(Fault(call.name, UnreachableError("no answer in time"), lost=True))
        return lost

    def _next_job(self, target: str, stage: Stage) -> Job:
        if target[0] in self.cursed and self._happens(0.8):
            return Job(seconds=5, error="out of memory")
        if not self._happens(self.weather.bad_jobs):
            return Job(seconds=self.draw.choice((0.5, 5, 60)))
        return self.draw.choice(
            (
                Job(seconds=5, error=""),
                Job(seconds=5, lines=1),
                Job(seconds=inf, told=None, status=self.draw.choice(STATUSES)),
                Job(seconds=400, status=self.draw.choice(STATUSES)),
            )
        )
