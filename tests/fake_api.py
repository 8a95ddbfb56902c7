"""The API in memory and in virtual time, with jobs and faults that a test scripts.

It answers as the reference of the API says; ``test_fake_api.py`` holds it against the local
service. Every call takes a moment, so that tasks interleave. Everything it is asked is kept in
``calls``, and whatever changes something also in ``journal``, which others may write to as well.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING, Any, TypeVar

from reconciler.core.equality import normalize
from reconciler.core.errors import ApiError, ConflictError, NotFoundError
from reconciler.core.model.desired import Stage
from reconciler.core.model.observed import Absent, LivePrompt, LiveRepo, LiveStage, LiveTarget
from reconciler.core.quantities import stim_reach, trajectories_each

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from reconciler.core.clock import Clock

Json = dict[str, Any]
Value = TypeVar("Value")
DEFAULT_MODEL = "Qwen/Qwen3-32B"
LATENCY = 0.01
#: How the names of the calls begin that change something.
WRITES = ("create", "delete", "run")


@dataclass(frozen=True, slots=True)
class Job:
    """How one run of a stage goes.

    ``lines`` is what it ends with (None: all that are expected), ``error`` makes it fail, ``told``
    maps the share of the time that has passed to the share of the work that it reports, None
    reports neither lines nor progress. ``status`` is what it calls itself until it ends.
    """

    seconds: float = 2.0
    lines: int | None = None
    error: str | None = None
    told: Callable[[float], float] | None = lambda share: share
    status: str = "running"


def linear(share: float) -> float:
    return share


def stalled(share: float) -> float:
    """Half of the work in a tenth of the time, and nothing more until the very end."""
    return min(0.5, share * 5)


NEVER_ENDS = Job(seconds=inf, told=None)


@dataclass(slots=True)
class _Run:
    """A job that was started."""

    job: Job
    started: float
    expected: int

    @property
    def ends(self) -> float:
        return self.started + self.job.seconds

    def seen(self, now: float, *, total: int | None) -> LiveStage:
        final = self.expected if self.job.lines is None else self.job.lines
        if now < self.ends:
            return self._under_way(now, final, total)
        if self.job.error is not None:
            return LiveStage("failed", 0, total, error=self.job.error)
        return LiveStage("complete", final, total)

    def _under_way(self, now: float, final: int, total: int | None) -> LiveStage:
        if self.job.told is None:
            return LiveStage(self.job.status, None, total)
        share = self.job.told((now - self.started) / self.job.seconds)
        return LiveStage(self.job.status, int(share * final), total, progress=100 * share)


@dataclass(slots=True)
class _Target:
    config: Json
    runs: dict[Stage, _Run] = field(default_factory=dict)


@dataclass(slots=True)
class _Repo:
    base_model: str
    prompts: dict[str, Json] = field(default_factory=dict)
    targets: dict[str, _Target] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Call:
    """One call: when, which, and on what."""

    at: float
    name: str
    of: tuple[str, ...]

    def __str__(self) -> str:
        return " ".join((self.name, "/".join(self.of)))


@dataclass(slots=True)
class Fault:
    """Calls of that name on that thing (anything, if empty) fail, so many times, between two times.

    With ``lost`` the call has its effect before its answer gets lost.
    """

    call: str
    error: ApiError
    on: str = ""
    times: float = inf
    since: float = 0.0
    until: float = inf
    lost: bool = False

    def strikes(self, call: Call) -> bool:
        meant = self.call in {call.name, "*"} and (not self.on or self.on in call.of)
        if not (meant and self.times > 0 and self.since <= call.at < self.until):
            return False
        self.times -= 1
        return True


class _Answer:
    """Hands over the answer to a call, unless that gets lost."""

    def __init__(self, lost: Sequence[BaseException]) -> None:
        self._lost = lost

    def __call__(self, value: Value) -> Value:
        for error in self._lost:
            raise error
        return value


class FakeApi:
    """See the module; implements ``reconciler.engine.ports.WriteApi``."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.repos: dict[str, _Repo] = {}
        self.calls: list[Call] = []
        self.journal: list[str] = []
        self.faults: list[Fault] = []
        #: Jobs by target and stage, one for each run; the last one counts for all further runs.
        self.jobs: dict[tuple[str, Stage], list[Job]] = {}
        self.job = Job()
        self.starts: Counter[tuple[str, Stage]] = Counter()
        #: Requests to start what existed already: harmless, and a sign of acting on hearsay.
        self.needless: list[str] = []
        self.restarts_failed = True
        self.intervals: list[tuple[float, float]] = []
        #: What others do just before the next call of a name takes effect.
        self.before: dict[str, Callable[[], None]] = {}
        #: Names of which the answer to a batch says nothing, though they are there.
        self.untold: set[str] = set()
        #: How long calls of a name are held back before they have their effect, in seconds.
        self.held: dict[str, float] = {}

    # What a test asks and arranges.

    def fail(self, call: str, error: ApiError, on: str = "", **when: Any) -> None:
        self.faults.append(Fault(call, error, on, **when))

    def plays(self, target: str, stage: Stage, *jobs: Job) -> None:
        """Arrange how the runs of a stage go, one after the other."""
        self.jobs[target, stage] = list(jobs)

    def asked(self, name: str, *of: str) -> list[Call]:
        """Return the calls of that name whose address holds these words."""
        return [call for call in self.calls if call.name == name and set(of) <= set(call.of)]

    def times(self, name: str, *of: str) -> list[float]:
        return [call.at for call in self.asked(name, *of)]

    def most_at_once(self) -> int:
        """Return how many jobs ran at the same time at most."""
        marks = sorted([(a, 1) for a, _ in self.intervals] + [(b, -1) for _, b in self.intervals])
        running = most = 0
        for _, step in marks:
            running += step
            most = max(most, running)
        return most

    def start(self, repo: str, target: str, stage: Stage, job: Job | None = None) -> LiveStage:
        """Start a job behind everybody's back."""
        if job:
            self.plays(target, stage, job)
        return self._start(repo, target, stage)

    # The API.

    async def repo(self, name: str) -> LiveRepo | Absent:
        answer = await self._call("repo", name)
        found = self.repos.get(name)
        return answer(LiveRepo(found.base_model) if found else Absent())

    async def prompt_names(self, repo: str) -> frozenset[str]:
        answer = await self._call("prompt_names", repo)
        return answer(frozenset(self._repo(repo).prompts))

    async def prompt(self, repo: str, name: str) -> LivePrompt | Absent:
        answer = await self._call("prompt", repo, name)
        found = self.repos[repo].prompts.get(name) if repo in self.repos else None
        return answer(Absent() if found is None else LivePrompt(found))

    async def target_names(self, repo: str) -> frozenset[str]:
        answer = await self._call("target_names", repo)
        return answer(frozenset(self._repo(repo).targets))

    async def target(self, repo: str, name: str) -> LiveTarget | Absent:
        answer = await self._call("target", repo, name)
        found = self.repos[repo].targets.get(name) if repo in self.repos else None
        return answer(LiveTarget(dict(found.config)) if found else Absent())

    async def stage(self, repo: str, target: str, stage: Stage) -> LiveStage:
        answer = await self._call("stage", repo, target, stage)
        return answer(self._status(self._target(repo, target), stage))

    async def create_repo(self, name: str, base_model: str | None) -> None:
        answer = await self._call("create_repo", name)
        model = base_model or DEFAULT_MODEL
        if self.repos.setdefault(name, _Repo(model)).base_model != model:
            raise ConflictError(f"Repository '{name}' already exists with another base model")
        answer(None)

    async def create_prompt(self, repo: str, name: str, content: Mapping[str, Any]) -> None:
        answer = await self._call("create_prompt", repo, name)
        live = self._repo(repo).prompts.setdefault(name, dict(content))
        if live != content:
            raise ConflictError(f"Prompt '{name}' already exists with different content")
        answer(None)

    async def create_prompts(
        self, repo: str, prompts: Mapping[str, Sequence[Mapping[str, Any]]]
    ) -> Mapping[str, str | None]:
        answer = await self._call("create_prompts", repo, *prompts)
        verdicts: dict[str, str | None] = {}
        for name, messages in prompts.items():
            try:
                self._raise_faults(Call(self.clock.now(), "batch item", (repo, name)))
                self._put_prompt(repo, name, {"messages": list(messages)})
                verdicts[name] = None
            except NotFoundError:
                raise
            except ApiError as error:
                verdicts[name] = error.message
        return answer(self._told_of(verdicts))

    async def create_target(self, repo: str, item: Mapping[str, Any]) -> None:
        answer = await self._call("create_target", repo, item["target_name"])
        self._create(repo, item)
        answer(None)

    async def create_targets(
        self, repo: str, items: Sequence[Mapping[str, Any]]
    ) -> Mapping[str, str | None]:
        names = [str(item["target_name"]) for item in items]
        answer = await self._call("create_targets", repo, *names)
        before = dict(self._repo(repo).targets)
        verdicts: dict[str, str | None] = {}
        for item, name in zip(items, names, strict=True):
            try:
                self._raise_faults(Call(self.clock.now(), "batch item", (repo, name)))
                self._create(repo, item)
                verdicts[name] = None
            except ConflictError:
                self._repo(repo).targets = before
                raise
            except ApiError as error:
                verdicts[name] = error.message
        return answer(self._told_of(verdicts))

    async def delete_target(self, repo: str, name: str) -> None:
        answer = await self._call("delete_target", repo, name)
        self._repo(repo).targets.pop(name, None)
        answer(None)

    async def run(self, repo: str, target: str, stage: Stage) -> LiveStage:
        answer = await self._call("run", repo, target, stage)
        return answer(self._start(repo, target, stage))

    # How it does that.

    async def _call(self, name: str, *of: str) -> _Answer:
        """Let a moment pass and a fault strike; return what hands over the answer, or loses it."""
        call = Call(self.clock.now(), name, of)
        self.calls.append(call)
        gone = await self._travel()
        if name in self.held:
            await asyncio.sleep(self.held[name])
        self.before.pop(name, lambda: None)()
        if name.startswith(WRITES):
            self.journal.append(str(call))
        lost = [fault.error for fault in self._raise_faults(call)]
        return _Answer([*gone, *lost])

    async def _travel(self) -> Sequence[BaseException]:
        """Let the moment pass that a call takes; return why nobody will hear the answer."""
        await asyncio.sleep(LATENCY)
        return ()

    def _raise_faults(self, call: Call) -> list[Fault]:
        struck = [fault for fault in self.faults if fault.strikes(call)]
        for fault in struck:
            if not fault.lost:
                raise fault.error
        return struck

    def _told_of(self, verdicts: Mapping[str, str | None]) -> Mapping[str, str | None]:
        return {name: why for name, why in verdicts.items() if name not in self.untold}

    def _repo(self, name: str) -> _Repo:
        if name not in self.repos:
            raise NotFoundError("Repository not found")
        return self.repos[name]

    def _target(self, repo: str, name: str) -> _Target:
        if name not in self._repo(repo).targets:
            raise NotFoundError("Target not found")
        return self._repo(repo).targets[name]

    def _put_prompt(self, repo: str, name: str, content: Json) -> None:
        self._repo(repo).prompts[name] = content

    def _create(self, repo: str, item: Mapping[str, Any]) -> None:
        home, name, template = self._repo(repo), str(item["target_name"]), item["template"]
        base: Json = {"model_name": home.base_model, **normalize.TARGET_DEFAULTS}
        if template != normalize.DEFAULT_TEMPLATE:
            if template not in home.targets:
                raise NotFoundError(f"Template not found: '{template}'")
            base = home.targets[template].config
        config = {**base, **(item.get("overrides") or {})}
        if home.targets.setdefault(name, _Target(config)).config != config:
            raise ConflictError(f"Target '{name}' already exists with a different config")

    def _start(self, repo: str, name: str, stage: Stage) -> LiveStage:
        target = self._target(repo, name)
        self._refuse_unready(target, stage)
        seen = self._status(target, stage)
        startable = {"not_started", "failed"} if self.restarts_failed else {"not_started"}
        if seen.status not in startable:
            self.needless.append(f"{repo}/{name} {stage}: {seen.status}")
            return seen
        run = _Run(self._next_job(name, stage), self.clock.now(), self._yield(target, stage))
        target.runs[stage] = run
        self.starts[name, stage] += 1
        self.intervals.append((run.started, run.ends))
        return self._status(target, stage)

    def _next_job(self, target: str, stage: Stage) -> Job:
        script = self.jobs.get((target, stage), [self.job])
        return script[min(self.starts[target, stage], len(script) - 1)]

    def _refuse_unready(self, target: _Target, stage: Stage) -> None:
        config = target.config
        if not (config.get("generators") and config.get("teacher_prompt")):
            raise ApiError("Target must have generators and teacher prompt configured")
        if stage is Stage.ROLLOUT and self._status(target, Stage.STIM).status != "complete":
            raise ApiError("Stim job must complete before running rollout")

    def _yield(self, target: _Target, stage: Stage) -> int:
        if stage is Stage.STIM:
            return stim_reach(target.config) or 0
        stimuli = self._status(target, Stage.STIM).lines or 0
        return stimuli * trajectories_each(target.config)

    def _status(self, target: _Target, stage: Stage) -> LiveStage:
        run = target.runs.get(stage)
        if run is None:
            return LiveStage("not_started", 0)
        return run.seen(self.clock.now(), total=run.expected if stage is Stage.ROLLOUT else None)
