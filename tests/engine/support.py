"""What the tests of the engine share: declaring things, running them, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import virtual_time
from fake_api import FakeApi

from reconciler import lockfile
from reconciler.core.declare import build
from reconciler.core.errors import ExitCode, worst
from reconciler.core.model.events import Event, EventKind, Outcome
from reconciler.core.model.manifest import Document, Kind, ResourceId
from reconciler.core.planning import compute_plan
from reconciler.engine.executor import execute
from reconciler.engine.observer import observe
from reconciler.engine.pacing import HOSTED
from reconciler.engine.run import RunOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from virtual_time import VirtualClock

    from reconciler.core.model.desired import Desired, Stage
    from reconciler.core.model.lock import Lock, LockedStage
    from reconciler.core.model.plan import Plan
    from reconciler.engine.keeper import LockWriter

API_URL = "https://api.example"
REPO = "r"

Json = dict[str, Any]


def document(kind: Kind, name: str, **parts: Any) -> Document:
    metadata = {"name": name} if kind in {Kind.REPO, Kind.PROJECT} else {"repo": REPO, "name": name}
    return Document("test.yaml", 0, kind, {"metadata": metadata, **parts})


def prompt(name: str, text: str = "Be brief.") -> Document:
    messages = [{"role": "system", "content": text}]
    return document(Kind.PROMPT, name, spec={"messages": messages})


def target(
    name: str,
    *,
    template: str = "default",
    teacher: str = "p",
    numq: int = 100,
    stim: Json | None = None,
    rollout: Json | str | None = None,
    policy: Json | None = None,
    **spec: Any,
) -> Document:
    """Declare a target; without more said: 100 questions, 5 trajectories each."""
    own = {
        "template": template,
        "teacher_prompt": teacher,
        "generators": [{"type": "oneshot_qs", "numq": numq}],
        "num_traj_per_stimulus": 5,
        **spec,
    }
    wanted = {"stim": stim or {}, "rollout": {} if rollout is None else rollout}
    return document(Kind.TARGET, name, spec=own, desired=wanted, policy=policy or {})


def stim_only(name: str, **more: Any) -> Document:
    return target(name, rollout="none", **more)


def declare(*documents: Document) -> Desired:
    """Return what these declare, together with repo ``r`` and its prompt ``p``."""
    repo = document(Kind.REPO, REPO, spec={"base_model": "m"})
    desired, problems = build([repo, prompt("p"), *documents])
    assert not problems
    return desired


def target_id(name: str) -> ResourceId:
    return ResourceId(Kind.TARGET, REPO, name)


@dataclass(slots=True)
class Memory:
    """A lockfile in memory: every text it ever had, and every write noted in a journal."""

    journal: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    on_write: Callable[[], None] = lambda: None

    def write(self, lock: Lock) -> bool:
        text = lockfile.render(lock)
        if self.texts and text == self.texts[-1]:
            return False
        self.on_write()
        self.texts.append(text)
        self.journal.append(f"lock {len(self.texts)}")
        return True

    @property
    def lock(self) -> Lock:
        return lockfile.parse(self.texts[-1], "memory")

    def lock_after(self, note: str) -> Lock:
        """Return the lock that a note in the journal speaks of."""
        return lockfile.parse(self.texts[int(note.removeprefix("lock ")) - 1], "memory")

    def stage(self, name: str, stage: Stage) -> LockedStage:
        return self.lock.targets[target_id(name)].stages[stage]


@dataclass(slots=True)
class Ran:
    """How a run went."""

    plan: Plan
    outcomes: dict[str, Outcome]
    events: list[Event]
    seconds: float

    @property
    def code(self) -> ExitCode:
        return worst(outcome.code for outcome in self.outcomes.values())

    def codes(self) -> dict[str, ExitCode]:
        """Return how each target ended."""
        of_targets = (o for o in self.outcomes.values() if o.resource.kind is Kind.TARGET)
        return {outcome.resource.name: outcome.code for outcome in of_targets}

    def message(self, name: str) -> str:
        return self.outcomes[f"Target {REPO}/{name}"].message

    def told(self, kind: EventKind, name: str = "") -> list[Event]:
        return [
            event
            for event in self.events
            if event.kind is kind and (not name or event.resource.name == name)
        ]


class World:
    """An API, a lockfile and a clock, for one test on a virtual loop."""

    def __init__(self) -> None:
        self.clock: VirtualClock = virtual_time.clock()
        self.api = FakeApi(self.clock)
        self.lockfile = Memory(self.api.journal)
        self.writer: LockWriter = self.lockfile
        self.events: list[Event] = []
        #: How each resource fared in the last run, also in one that raised.
        self.outcomes: dict[ResourceId, Outcome] = {}

    async def plan(self, desired: Desired) -> tuple[Desired, Any, Lock | None, Plan]:
        lock = self.lockfile.lock if self.lockfile.texts else None
        observed = await observe(desired, lock, self.api)
        return desired, observed, lock, compute_plan(desired, observed, lock, api_url=API_URL)

    async def carry_out(
        self, desired: Desired, observed: Any, lock: Lock | None, plan: Plan, **options: Any
    ) -> Ran:
        begun, self.events, self.outcomes = self.clock.now(), [], {}
        outcomes = await execute(
            desired,
            observed,
            lock,
            plan,
            api=self.api,
            writer=self.writer,
            clock=self.clock,
            emit=self.events.append,
            options=RunOptions(**{"pace": HOSTED, **options}),
            outcomes=self.outcomes,
        )
        return Ran(plan, _by_name(outcomes), self.events, self.clock.now() - begun)

    async def apply(self, *documents: Document, **options: Any) -> Ran:
        """Observe, plan and carry out, as ``apply`` does."""
        return await self.carry_out(*await self.plan(declare(*documents)), **options)


def _by_name(outcomes: Iterable[Outcome]) -> dict[str, Outcome]:
    return {f"{o.resource.kind} {o.resource}": o for o in outcomes}
