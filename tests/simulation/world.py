"""An API that misbehaves at random: the independent model of the service, and its weather.

Misbehaviour is a ``Weather``. Other people change live state as well, and nobody asks for that. The
world also keeps the one account that no reconciler can: which attempts really started a job.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from math import inf
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from fake_api import LATENCY, WRITES, FakeApi, Fault, Job

from reconciler.core.errors import AuthenticationError, PaymentRequiredError, UnreachableError
from reconciler.core.model.desired import Stage
from reconciler.core.quantities import stim_reach, trajectories_each

from .figures import FIGURES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

    from fake_api import Call
    from virtual_time import VirtualClock

    from reconciler.core.model.observed import LiveStage


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
    slow: float = 0.0
    limited: float = 0.0
    garbled: float = 0.0
    redirected: float = 0.0
    raced: float = 0.0
    restarts_failed: bool = True


CALM = Weather()
STATUSES = ("running", "pending", "archived")
#: The attempt in whose name a job is asked for.
ATTEMPT: ContextVar[tuple[object, ...] | None] = ContextVar("attempt", default=None)


@dataclass(slots=True)
class Listing:
    """The prompts of a repo as somebody was told, when, and what arrived because of that."""

    repo: str
    names: frozenset[str]
    at: float
    used: bool = False
    arrived: set[str] = field(default_factory=set)


#: The listing of prompts that was asked for last, in the same task.
LISTING: ContextVar[Listing | None] = ContextVar("listing", default=None)


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
        slow=share(0.2, 0.8),
        limited=share(0.1, 0.4),
        garbled=share(0.1, 0.4),
        redirected=share(0.1),
        raced=share(0.1, 0.3),
        restarts_failed=draw.random() < 0.8,
    )


def reversing(share: float) -> float:
    """Progress that begins beyond the end and goes backwards."""
    return 1.5 - share


def hang_up() -> None:
    """Raise CancelledError for a caller that is gone, whatever there was to tell it."""
    task = asyncio.current_task()
    if task and task.cancelling():
        raise asyncio.CancelledError


class World(FakeApi):
    """See the module."""

    def __init__(self, clock: VirtualClock, draw: Random) -> None:
        super().__init__(clock)
        self.draw = draw
        self._weather = CALM
        self.broken: list[str] = []
        self.http = SimpleNamespace(requests=0)
        #: Targets of which most jobs fail, by the first letter of their names.
        self.cursed = "".join(draw.sample("abcd", draw.choice((0, 1, 2))))
        #: How often each name has been taken from a target, so that its next one is another.
        self.removals: Counter[tuple[str, str]] = Counter()
        self._begun: Counter[tuple[object, ...]] = Counter()

    @property
    def weather(self) -> Weather:
        """What goes wrong at present."""
        return self._weather

    @weather.setter
    def weather(self, weather: Weather) -> None:
        self._weather = weather
        self.restarts_failed = weather.restarts_failed

    def breaks(self, rule: str) -> None:
        """Note that a rule was broken."""
        self.broken.append(f"{self.clock.now():.2f}: {rule}")

    def happens(self, share: float, what: str = "") -> bool:
        """Return whether something with that share happens now; faults are counted."""
        if not (share > 0 and self.draw.random() < share):
            return False
        if what:
            FIGURES.fault(what)
        return True

    def calm_down(self) -> None:
        """Let every job come to a good end from now on, and soon."""
        self.cursed, self.weather = "", CALM
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
        if prompts:
            FIGURES.fault("somebody else overwrote a prompt")
            self.repos[repo].prompts[self.draw.choice(prompts)] = self._other_content()

    def _take_away(self, repo: str, prompts: Sequence[str], targets: Sequence[str]) -> None:
        if targets:
            FIGURES.fault("somebody else deleted a target")
            self._remove(repo, self.draw.choice(targets))

    def _start_something(self, repo: str, prompts: Sequence[str], targets: Sequence[str]) -> None:
        for name in targets:
            target = self.repos[repo].targets[name]
            stim = self._status(target, Stage.STIM).status
            stage = Stage.ROLLOUT if stim == "complete" else Stage.STIM
            if self._status(target, stage).status in {"not_started", "failed"}:
                FIGURES.fault("somebody else started a job")
                self._start(repo, name, stage)
                return

    def _remove(self, repo: str, name: str) -> None:
        self.repos[repo].targets.pop(name, None)
        self.removals[repo, name] += 1

    def _come_first(self, repo: str, names: Sequence[str]) -> None:
        """Create what somebody is about to create: a listing of just now does not know of it."""
        new = [name for name in names if repo in self.repos and name not in self.prompts(repo)]
        if new:
            FIGURES.fault("somebody else created a prompt first")
            self.repos[repo].prompts[self.draw.choice(new)] = self._other_content()

    def _other_content(self) -> dict[str, Any]:
        text = self.draw.choice(("Be exact.", "Be brief.", "Be gone."))
        return {"messages": [{"role": "system", "content": text}]}

    # How it works.

    async def delete_target(self, repo: str, name: str) -> None:
        answer = await self._call("delete_target", repo, name)
        if name in self._repo(repo).targets:
            self._remove(repo, name)
        answer(None)

    async def stage(self, repo: str, target: str, stage: Stage) -> LiveStage:
        return self._told(await super().stage(repo, target, stage))

    async def run(self, repo: str, target: str, stage: Stage) -> LiveStage:
        return self._told(await super().run(repo, target, stage))

    def exists(self, repo: str, target: str = "") -> str:
        """Return what tells a repo or target from all others of its name; nothing if absent."""
        if repo not in self.repos or (target and target not in self.repos[repo].targets):
            return ""
        return f"{repo}/{target}#{self.removals[repo, target]}"

    def prompts(self, repo: str) -> frozenset[str]:
        """Return the names of all prompts, which nobody can delete."""
        return frozenset(self.repos[repo].prompts if repo in self.repos else ())

    def yields(self, repo: str, name: str) -> int | None:
        """Return how many trajectories the rollout of a target is to bring.

        A stim that has brought more than it was asked for is nobody's fault but the service's.
        """
        found = self.repos[repo].targets.get(name) if repo in self.repos else None
        if found is None:
            return None
        asked = (stim_reach(found.config) or 0) * trajectories_each(found.config)
        return min(asked, self._yield(found, Stage.ROLLOUT))

    def _start(self, repo: str, name: str, stage: Stage) -> LiveStage:
        target = self._target(repo, name)
        before = target.runs.get(stage)
        seen = super()._start(repo, name, stage)
        attempt = ATTEMPT.get()
        if attempt and target.runs.get(stage) is not before:
            self._begun[attempt] += 1
            FIGURES.count("jobs started")
            if self._begun[attempt] > 1:
                self.breaks(f"a second effective run of {attempt}")
        return seen

    def _put_prompt(self, repo: str, name: str, content: dict[str, Any]) -> None:
        """Replace a prompt, which is allowed only to whoever could not know that it was there."""
        listing = LISTING.get()
        if listing is None or name in listing.names or name in listing.arrived:
            self.breaks(f"a batch with prompt {name} arrived that no listing had called for")
        else:
            listing.arrived.add(name)
        if self._repo(repo).prompts.get(name, content) != content:
            FIGURES.count("prompts replaced")
        super()._put_prompt(repo, name, content)

    # How it misbehaves.

    async def _travel(self) -> Sequence[BaseException]:
        """Take a moment or, on slow days, seconds, so that calls overtake each other.

        A call whose sender is gone may still arrive.
        """
        self.http.requests += 1
        slow = self.happens(self._weather.slow, "slow answer")
        seconds = LATENCY * (10 ** self.draw.uniform(0, 2.5) if slow else 1)
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError as error:
            if self.draw.random() < 0.5:
                raise
            return [error]
        return ()

    def _raise_faults(self, call: Call) -> list[Fault]:
        lost, weather = super()._raise_faults(call), self._weather
        if call.name in {"create_prompt", "create_prompts"} and self.happens(weather.raced):
            self._come_first(call.of[0], call.of[1:])
        if self.happens(weather.refused / 10, "401"):
            raise AuthenticationError("401: who are you?")
        if not call.name.startswith(WRITES):
            if self.happens(weather.unreadable, "503"):
                raise UnreachableError("503: try again later")
            return lost
        if self.happens(weather.down, "502"):
            raise UnreachableError("502: bad gateway")
        if call.name == "run" and self.happens(weather.broke, "402"):
            raise PaymentRequiredError("402: no credits left")
        if self.happens(weather.lost, "answer lost after effect"):
            lost.append(Fault(call.name, UnreachableError("no answer in time"), lost=True))
        return lost

    def _told(self, seen: LiveStage) -> LiveStage:
        """Return a status as it is told, which may lack its count."""
        null = self.happens(self._weather.null_lines, "status without lines")
        return replace(seen, lines=None) if null else seen

    def _next_job(self, target: str, stage: Stage) -> Job:
        if (target, stage) in self.jobs:
            return super()._next_job(target, stage)
        if target[0] in self.cursed and self.happens(0.8, "job fails"):
            return Job(seconds=5, error="out of memory")
        if not self.happens(self._weather.bad_jobs):
            return Job(seconds=self.draw.choice((0.5, 5, 60)))
        what, job = self.draw.choice(
            (
                ("job fails without a reason", Job(seconds=5, error="")),
                ("job falls short", Job(seconds=5, lines=1)),
                ("job brings too much", Job(seconds=5, lines=99)),
                ("job reports nonsense", Job(seconds=30, told=reversing)),
                ("job never ends", Job(seconds=inf, told=None, status=self._other_status())),
                ("job stalls", Job(seconds=400, status=self._other_status())),
            )
        )
        FIGURES.fault(what)
        return job

    def _other_status(self) -> str:
        return self.draw.choice(STATUSES)
